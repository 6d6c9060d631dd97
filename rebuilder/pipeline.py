"""The story, on one page: what happens between a person's question and a published answer.

    resolve        what was published, where its source is
    authenticate   who signed it, does policy accept it
    plan           recipe, environment, exact inputs by digest
    rebuild        in containers that have no network
    compare        per artifact, member by member; on a difference, once more
    attest         by a separate process; then published

An exception means "no answer"; a difference is an answer. Once a target is resolved, "no answer" is published as well:
`undecided`, with its cause.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from rebuilder.compare.judge import needs_control
from rebuilder.errors import Interrupted, RebuilderError
from rebuilder.model.cause import Cause, in_reporting_order
from rebuilder.model.dossier import Dossier
from rebuilder.model.release import Release
from rebuilder.model.trust import Trust
from rebuilder.model.verdict import Verdict, worst
from rebuilder.origins.origin import Origin, Question
from rebuilder.origins.registry import origin_for
from rebuilder.progress import About
from rebuilder.stages.attempt import Attempt
from rebuilder.stages.attesting import Attester
from rebuilder.stages.building import build
from rebuilder.stages.comparing import compare, with_control
from rebuilder.stages.concluding import conclude
from rebuilder.stages.varying import vary
from rebuilder.stages.world import World

__all__ = ["Request", "TargetResult", "World", "verify"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One target of one command."""

    question: Question
    dry_run: bool = False
    """Resolve and authenticate only: nothing is downloaded but indices, nothing is built or published."""
    fresh: bool = False
    """Prepare the environment anew even where a cached one exists."""
    vary: tuple[str, ...] = ()
    """Factors of the variation experiment."""
    control: bool = True
    """Whether a difference is followed by a control rebuild."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetResult:
    """The answer about one target."""

    target: str
    release: Release | None = None
    trust: Trust | None = None
    dossiers: tuple[Dossier, ...] = ()
    documents: tuple[Path, ...] = ()
    """Result directories, one a dossier."""
    error: RebuilderError | None = None
    """Why there is no answer, or why one is `undecided`."""

    @property
    def verdict(self) -> Verdict | None:
        """The worst of the parts; None when nothing was concluded (a dry run, or an error before resolving)."""
        return worst(dossier.verdict for dossier in self.dossiers) if self.dossiers else None

    @property
    def causes(self) -> tuple[Cause, ...]:
        """All causes, security-relevant first."""
        return in_reporting_order({cause for dossier in self.dossiers for cause in dossier.causes})


def verify(request: Request, world: World) -> TargetResult:
    """Answer one request. Raises only Interrupted; every other error is in the result."""
    now = world.now()
    name = request.question.name
    world = replace(world, progress=About(world.progress, name))
    try:
        origin = origin_for(request.question, world.settings, world.fetcher, world.blobs, world.progress)
        world.progress.phase(name, "resolve", "reading signed indices")
        release = origin.resolve(request.question, now)
        world.progress.phase(name, "authenticate", f"{release.name} {release.version}")
        trust = origin.authenticate(release, now, download=not request.dry_run)
    except Interrupted:
        raise
    except RebuilderError as error:
        return TargetResult(target=name, error=error)
    if request.dry_run:
        return TargetResult(target=release.target, release=release, trust=trust)
    return _rebuild_parts(request, release, trust, origin, world)


def _rebuild_parts(request: Request, release: Release, trust: Trust, origin: Origin, world: World) -> TargetResult:
    """Rebuild each part as its artifacts were built, and publish what came of it."""
    dossiers: list[Dossier] = []
    documents: list[Path] = []
    failure: RebuilderError | None = None
    try:
        if not release.is_local:
            world.ledger.record_release(release, world.now())
            for event in world.ledger.observe_artifacts(release, world.now()):
                world.progress.note(request.question.name, f"{event.kind}: {event.subject}: {event.detail}")
        for part in origin.parts(release):
            with Attester(world) as attester:  # it gets ready while the build runs
                attempt = _attempt(request, Attempt(part=part, trust=trust, name=request.question.name), origin, world)
                failure = failure or attempt.error
                world.progress.phase(attempt.name, "attest", "signing and publishing")
                dossier = conclude(attempt, world.now())
                documents.append(attester.attest(dossier, attempt.records))
            dossiers.append(dossier)
    except Interrupted:
        raise
    except RebuilderError as error:
        failure = error
    return TargetResult(
        target=release.target,
        release=release,
        trust=trust,
        dossiers=tuple(dossiers),
        documents=tuple(documents),
        error=failure,
    )


def _attempt(request: Request, attempt: Attempt, origin: Origin, world: World) -> Attempt:
    """Plan, rebuild, compare; on a difference rebuild once more. What stopped it, if anything, is in the answer."""
    if not attempt.trust.accepted:
        return attempt
    try:
        world.progress.phase(attempt.name, "plan", "environment and exact inputs")
        planned = origin.plan(attempt.part, world.engine(), world.now())
        attempt = replace(attempt, planned=planned)
        run = build(planned.plan, origin, world, name=attempt.name, fresh=request.fresh)
        attempt = replace(attempt, run=run)
        comparison = compare(attempt.part, run.rebuild, world, name=attempt.name)
        attempt = replace(attempt, comparison=comparison)
        if request.control and needs_control(comparison):
            world.progress.note(attempt.name, "a difference: building once more in a freshly prepared environment")
            control = build(planned.plan, origin, world, name=attempt.name, fresh=True)
            attempt = replace(attempt, control=control, comparison=with_control(comparison, control.rebuild))
        return replace(attempt, variations=vary(attempt, request.vary, origin, world))
    except Interrupted:
        raise
    except RebuilderError as error:
        return replace(attempt, error=error)
