"""Work that is owed, as data: what the ledger counts, leases and retries. Nothing here runs anything.

A *case* is one round of work on one part of one release: its plan, its k rebuilds, their comparison, signature and
publication. Each of those is a *job*. A worker holds a job by a *lease* with a fencing token: the number rises with
each claim, and a report with an older one is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from rebuilder.model.cause import Cause
from rebuilder.model.digest import Digest
from rebuilder.model.verdict import Verdict


class JobKind(StrEnum):
    """Which step a job is; also the name of the role that may claim it, and of its queue."""

    PLAN = "plan"
    """Resolve, authenticate and plan a target; the coordinator's own."""
    REBUILD = "rebuild"
    COMPARE = "compare"
    SIGN = "sign"
    PUBLISH = "publish"


class JobState(StrEnum):
    """Where a job stands. What is not final is owed."""

    READY = "ready"
    WAITING = "waiting"
    """Tried again at a later time, after a failure."""
    LEASED = "leased"
    HELD = "held"
    """A person paused it, or its suite, or the block list names it."""
    DONE = "done"
    FAILED = "failed"
    """Attempts are used up, or its cause is never tried again."""
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Whether nothing is owed any more, unless a person says `retry`."""
        return self in {JobState.DONE, JobState.FAILED, JobState.CANCELLED}


class Purpose(StrEnum):
    """Why a case was opened, most urgent first: the order of these words is the order of work."""

    BY_HAND = "by-hand"
    SECURITY = "security"
    NEW = "new"
    NEVER_BUILT = "never-built"
    REGRESSION = "regression"
    RECHECK = "recheck"
    CONTROL = "control"

    @property
    def priority(self) -> int:
        """Number that jobs are sorted by, ascending; a person's own number is between -1000 and 1000 on top."""
        return 1000 * list(Purpose).index(self)


class ResourceClass(StrEnum):
    """How much of a machine a job wants."""

    SMALL = "small"
    LARGE = "large"


CONTROL_SLOT = 1000
"""Slots below are the k rebuilds of a quorum; this one is the control rebuild."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """A job to be owed from now on. (case, kind, slot) names it: adding it twice adds it once."""

    kind: JobKind
    target: str
    """Canonical package URL."""
    suite: str
    name: str
    case: int | None = None
    """None for `plan`, which opens the cases."""
    slot: int = 0
    """Which of several jobs of a kind in one case."""
    plan: Digest | None = None
    """For `rebuild`: the plan that it runs; each claim reserves a run number of it."""
    input: Digest | None = None
    """Blob of the canonical task document (`workers.tasks`)."""
    purpose: Purpose = Purpose.BY_HAND
    priority: int = 0
    """A person's own number, added to the purpose's: lower is sooner."""
    resources: ResourceClass = ResourceClass.SMALL
    tags: tuple[str, ...] = ()
    """What a worker must offer: an architecture (`amd64`), a label."""
    quorum: int = 1
    """For `plan`: how many rebuilds its cases want."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job as the ledger has it."""

    id: int
    new: NewJob
    state: JobState
    attempts: int
    """How often it was claimed."""
    fence: int
    """Of its newest lease; 0 before the first."""
    not_before: datetime | None
    output: Digest | None
    cause: Cause | None
    """Of the newest failure."""
    message: str
    """One sentence about the newest failure, or why it is held."""
    created_at: datetime
    changed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A worker's hold on a job, until `expires_at` unless it is renewed."""

    job: Job
    worker: str
    """Key id of the worker."""
    fence: int
    claimed_at: datetime
    expires_at: datetime
    ordinal: int | None = None
    """For `rebuild`: the run number reserved for this claim; a lost claim's number is never used again."""


class CaseState(StrEnum):
    """Whether anything is owed for a case."""

    OPEN = "open"
    CLOSED = "closed"
    """Published."""
    ABANDONED = "abandoned"
    """Cancelled, or a job failed for good and nothing could be published."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One round of work on one part of one release. Documents are blobs; absent ones have not been made yet."""

    id: int
    target: str
    suite: str
    name: str
    version: str
    architecture: str
    purpose: Purpose
    quorum: int
    state: CaseState
    release: Digest
    """Canonical JSON of the part (`model.release.Release`)."""
    trust: Digest
    planned: Digest | None = None
    """`origins.origin.Planned`; None when nothing could be planned."""
    comparison: Digest | None = None
    dossier: Digest | None = None
    directory: str | None = None
    """Where it is published, relative to the results."""
    verdict: Verdict | None = None
    opened_at: datetime
    closed_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """An enrolled worker: its key is its identity."""

    keyid: str
    pem: str
    name: str
    roles: tuple[JobKind, ...]
    tags: tuple[str, ...]
    resources: tuple[ResourceClass, ...]
    fault_domain: str
    """Assigned by the operator with the enrolment token; a quorum never counts two of one domain."""
    enrolled_at: datetime
    seen_at: datetime | None = None
    revoked_at: datetime | None = None
    draining: bool = False
    """Finishes what it holds, gets nothing new."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryRule:
    """When a job that failed is tried again."""

    attempts: int | None
    """In all; 1 means never again, None means without end."""
    first_delay_s: int
    factor: float = 2.0
    longest_delay_s: int = 6 * 3600

    def is_left(self, attempts: int) -> bool:
        """Whether a job that had so many attempts gets another."""
        return self.attempts is None or attempts < self.attempts

    def delay_s(self, attempts: int) -> float:
        """How long it waits after so many: exponential, up to the longest."""
        doublings = min(max(attempts - 1, 0), _DOUBLINGS_LIMIT)
        return min(self.first_delay_s * self.factor**doublings, self.longest_delay_s)


_DOUBLINGS_LIMIT = 40
"""More would not fit into a float one day, and is beyond the longest delay."""

SOON = RetryRule(attempts=8, first_delay_s=10)
WITHOUT_END = RetryRule(attempts=None, first_delay_s=10, longest_delay_s=600)
LATE = RetryRule(attempts=2, first_delay_s=3600)
NEVER = RetryRule(attempts=1, first_delay_s=0)


def retry_rule(cause: Cause, kind: JobKind) -> RetryRule:
    """Infrastructure soon, build failures late and few, what was not trusted or is not there never.

    Signing and publishing open nothing hostile: when they find no disk or no key it is not the case that is at fault,
    so they wait for the operator as long as it takes.
    """
    match cause:
        case Cause.INFRASTRUCTURE if kind in {JobKind.SIGN, JobKind.PUBLISH}:
            return WITHOUT_END
        case Cause.INFRASTRUCTURE | Cause.ENVIRONMENT_UNAVAILABLE:
            return SOON
        case Cause.UNTRUSTED_INPUT | Cause.STALE_INPUT | Cause.NO_REFERENCE | Cause.DISAGREEMENT | Cause.QUORUM_PENDING:
            return NEVER
        case _:
            return LATE


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """What is owed, counted: the face of `status`."""

    by_state: tuple[tuple[str, int], ...]
    ready_by_kind: tuple[tuple[str, int], ...]
    oldest_ready: datetime | None = None
    oldest_lease: datetime | None = None
