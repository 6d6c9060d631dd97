"""The variation experiment: the same build under another clock, path or locale. It names causes, never a verdict."""

from __future__ import annotations

from collections.abc import Sequence

from rebuilder.errors import Interrupted, RebuilderError
from rebuilder.model.dossier import Variation
from rebuilder.model.rebuild import Rebuild
from rebuilder.model.verdict import Outcome
from rebuilder.origins.origin import Origin
from rebuilder.publish.words import outcome
from rebuilder.stages.attempt import Attempt
from rebuilder.stages.building import build
from rebuilder.stages.world import World


def vary(attempt: Attempt, factors: Sequence[str], origin: Origin, world: World) -> tuple[Variation, ...]:
    """Run the plan once under each factor and say which outputs changed; nothing if the plain run did not succeed."""
    if attempt.run is None or attempt.planned is None or attempt.run.rebuild.outcome is not Outcome.SUCCEEDED:
        return ()
    return tuple(_one(attempt, factor, attempt.run.rebuild, origin, world) for factor in factors)


def _one(attempt: Attempt, factor: str, plain: Rebuild, origin: Origin, world: World) -> Variation:
    """Run once; whatever stops it is no answer about this factor, and no reason to doubt the verdict."""
    try:
        varied = _run(attempt, factor, origin, world)
    except Interrupted:
        raise
    except RebuilderError as error:
        return _no_answer(factor, str(error))
    if varied.outcome is not Outcome.SUCCEEDED:
        return _no_answer(factor, f"the run {outcome(varied.outcome)}: {varied.reason}")
    return _compared(attempt, factor, plain, varied)


def _no_answer(factor: str, reason: str) -> Variation:
    return Variation(factor=factor, changed=(), findings=(), failed=reason)


def _run(attempt: Attempt, factor: str, origin: Origin, world: World) -> Rebuild:
    assert attempt.planned is not None  # noqa: S101 - checked by the caller
    plan = origin.vary(attempt.planned.plan, factor, attempt.part, world.now())
    world.progress.phase(attempt.name, "vary", f"once more under another {factor}")
    return build(plan, origin, world, name=attempt.name, fresh=False).rebuild


def _compared(attempt: Attempt, factor: str, plain: Rebuild, varied: Rebuild) -> Variation:
    before = {output.filename: output.digest for output in plain.outputs}
    names = [artifact.filename for artifact in attempt.part.artifacts]
    after = {output.filename: output.digest for output in varied.outputs}
    changed = tuple(name for name in names if before.get(name) != after.get(name))
    findings = tuple(f"{name} depends on the {factor} of its build" for name in changed)
    return Variation(factor=factor, changed=changed, findings=findings)
