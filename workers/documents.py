"""What a job's input and output say, as nouns: each is one canonical JSON blob (`rebuilder.model.codec`).

A worker is told a blob's digest by the coordinator and verifies the bytes against it; whatever a document names, it
names by digest as well. Output documents of builders and comparers are DSSE envelopes around `Rebuild` and
`Comparison`, signed with the worker's own key: the signer verifies them again.
"""

from __future__ import annotations

from dataclasses import dataclass

from rebuilder.attest.context import Context
from rebuilder.model.cause import Cause
from rebuilder.model.digest import Digest
from rebuilder.model.dossier import Dossier
from rebuilder.model.plan import ImageLock, Plan
from rebuilder.model.rebuild import Rebuild
from rebuilder.model.release import Release
from rebuilder.model.trust import Trust
from rebuilder.origins.origin import Planned


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """Why the work on a part ends before its time; it becomes the reason of an `undecided` dossier."""

    cause: Cause
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedPart:
    """One part of a release, and how it will be rebuilt; every file of the plan is a blob by then."""

    part: Release
    planned: Planned | None = None
    rootfs: Digest | None = None
    """Blob of the base image's one layer (tar)."""
    stopped: Stopped | None = None
    """Why nothing is rebuilt; None also where the policy refused (the trust says why)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanReport:
    """From the planner, whose task is the job's target."""

    release: Release
    trust: Trust
    parts: tuple[PlannedPart, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RebuildTask:
    """For a builder: run this plan once. Every file that it needs is a blob by then."""

    plan: Plan
    lock: ImageLock
    rootfs: Digest
    """Blob of the base image's one layer (tar); the image loaded from it must have the plan's id."""
    fresh: bool
    """Prepare the environment from the base for this run alone (quorum above 1, control)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RebuildReport:
    """From a builder."""

    record: Digest
    """Blob of the DSSE envelope around the Rebuild; its log and outputs are blobs as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareTask:
    """For a comparer: this part of a release with this rebuild of it."""

    part: Release
    rebuild: Rebuild
    others: tuple[Rebuild, ...] = ()
    """Of the same plan by other builders, for the quorum."""
    control: Rebuild | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareReport:
    """From a comparer."""

    record: Digest
    """Blob of the DSSE envelope around the Comparison; reports are blobs as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedBlob:
    """A file of a result directory."""

    path: str
    digest: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class SignTask:
    """For the signer: everything that `rebuilder.attest.request` writes into a request directory."""

    dossier: Dossier
    context: Context
    attached: tuple[NamedBlob, ...]
    """plan.json, lock.json, the builders' records."""
    comparison: Digest | None
    """Blob of the comparer's signed record; None where nothing was compared."""
    quorum: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SignReport:
    """From the signer: what it signed, by place in the result directory."""

    rebuild_id: str
    signed: tuple[NamedBlob, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishTask:
    """For the publisher: these documents, and no others."""

    dossier: Digest
    rebuild_id: str
    documents: tuple[NamedBlob, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishReport:
    """From the publisher."""

    directory: str
    """Relative to the results."""
