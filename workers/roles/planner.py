"""plan: from a target to a plan for each part, and everything that the plans need among the farm's blobs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from rebuilder.errors import Interrupted, LeaseLost, RebuilderError, UnknownTarget
from rebuilder.model.cause import Cause
from rebuilder.model.digest import Digest
from rebuilder.model.job import JobKind, retry_rule
from rebuilder.model.release import Release
from rebuilder.model.trust import Trust
from rebuilder.origins.origin import Origin, Planned, Question
from rebuilder.origins.registry import origin_for
from rebuilder.progress import About
from workers.documents import PlannedPart, PlanReport, Stopped
from workers.lease.protocol import Claim
from workers.roles.place import Place, inputs_of


def plan(claim: Claim, place: Place) -> Digest:
    """Resolve, authenticate and plan.

    What stops the work on a part is tried again as its cause's rule says, and part of the answer only in the end.
    """
    question = Question(target=claim.target)
    origin = origin_for(question, place.settings, place.fetcher, place.blobs, About(place.progress, question.name))
    now = place.now()
    place.progress.phase(question.name, "resolve", "reading signed indices")
    release = _resolved(origin, question, now)
    place.progress.phase(question.name, "authenticate", f"{release.name} {release.version}")
    trust = origin.authenticate(release, now, download=True)
    place.give(digest for digest in _evidence(release, trust) if place.blobs.has(digest))
    parts = tuple(_part(part, trust, origin, claim, place) for part in origin.parts(release))
    return place.write(PlanReport(release=release, trust=trust, parts=parts))


def _resolved(origin: Origin, question: Question, now: datetime) -> Release:
    """Resolve a target; that there is no such suite or release is final, and a sync owes it again when there is."""
    try:
        return origin.resolve(question, now)
    except UnknownTarget as error:
        error.cause = Cause.NO_REFERENCE
        raise


def _part(part: Release, trust: Trust, origin: Origin, claim: Claim, place: Place) -> PlannedPart:
    """Plan one part, and bring what its plan names: sources, packages, the base image's root file system."""
    if not trust.accepted:
        return PlannedPart(part=part)
    planned: Planned | None = None
    try:
        place.progress.phase(part.name, "plan", "environment and exact inputs")
        planned = origin.plan(part, place.engine(), place.now())
        rootfs = _bring(planned, origin, place)
    except (Interrupted, LeaseLost):
        raise
    except RebuilderError as error:
        if retry_rule(error.cause, JobKind.PLAN).is_left(claim.attempt):
            raise
        return PlannedPart(part=part, planned=planned, stopped=Stopped(cause=error.cause, reason=str(error)))
    return PlannedPart(part=part, planned=planned, rootfs=rootfs)


def _bring(planned: Planned, origin: Origin, place: Place) -> Digest:
    origin.inputs(planned.plan)
    origin.repository(planned.plan.environment.packages)
    rootfs = origin.rootfs(planned.lock)
    place.give((*inputs_of(planned.plan), rootfs))
    found = (piece.document for piece in planned.evidence if piece.document is not None)
    place.give(digest for digest in found if place.blobs.has(digest))
    return rootfs


def _evidence(release: Release, trust: Trust) -> Iterator[Digest]:
    """Documents in which claims were found, and the published artifacts."""
    yield from release.indices
    documents = (piece.document for piece in (*release.evidence, *trust.evidence))
    yield from (document for document in documents if document is not None)
    yield from (artifact.reference.digest for artifact in release.artifacts if artifact.reference is not None)
    if release.buildinfo is not None:
        yield release.buildinfo
