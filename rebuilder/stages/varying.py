"""The variation experiment: the same build under another clock, path or locale. It names causes, never a verdict."""

from __future__ import annotations

from collections.abc import Sequence

from rebuilder.model.dossier import Variation
from rebuilder.model.rebuild import Rebuild
from rebuilder.model.verdict import Outcome
from rebuilder.origins.origin import Origin
from rebuilder.stages.attempt import Attempt
from rebuilder.stages.building import build
from rebuilder.stages.world import World


def vary(attempt: Attempt, factors: Sequence[str], origin: Origin, world: World) -> tuple[Variation, ...]:
    """Run the plan once under each factor and say which outputs changed; nothing if the plain run did not succeed."""
    if attempt.run is None or attempt.planned is None or attempt.run.rebuild.outcome is not Outcome.SUCCEEDED:
        return ()
    return tuple(_one(attempt, factor, attempt.run.rebuild, origin, world) for factor in factors)


def _one(attempt: Attempt, factor: str, plain: Rebuild, origin: Origin, world: World) -> Variation:
    assert attempt.planned is not None  # noqa: S101 - checked by the caller
    plan = origin.vary(attempt.planned.plan, factor, attempt.part, world.now())
    world.progress.phase(attempt.name, "vary", f"once more under another {factor}")
    varied = build(plan, origin, world, name=attempt.name, fresh=False).rebuild
    if varied.outcome is not Outcome.SUCCEEDED:
        return Variation(factor=factor, changed=(), findings=(f"the run did not succeed: {varied.reason}",))
    before = {output.filename: output.digest for output in plain.outputs}
    names = [artifact.filename for artifact in attempt.part.artifacts]
    after = {output.filename: output.digest for output in varied.outputs}
    changed = tuple(name for name in names if before.get(name) != after.get(name))
    findings = tuple(f"{name} depends on the {factor} of its build" for name in changed)
    return Variation(factor=factor, changed=changed, findings=findings)
