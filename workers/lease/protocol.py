"""What a worker may ask of the coordinator. Two implementations: over HTTP (`client`), and in one process (`local`)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from rebuilder.errors import SignatureRefused
from rebuilder.model.cause import Cause
from rebuilder.model.digest import Digest
from rebuilder.model.job import JobKind
from rebuilder.store.blobs import BlobStore

WorkerBlobs = BlobStore
"""Where a worker gets its inputs and puts its outputs: create-only, verified by digest."""


class Forbidden(SignatureRefused):
    """Not a worker, not any more, or not in that role: to sign once more would not help."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What names one lease: no two claims have the same."""

    job: int
    fence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A job that this worker holds until `expires_at`, unless it says a heartbeat before."""

    job: int
    fence: int
    """Rises with each claim of the job: a report under an older one does not count."""
    kind: JobKind
    target: str
    """Canonical package URL of what the job is about."""
    input: Digest | None
    """Blob of the task (`workers.documents`); None for `plan`, which is told by its target alone."""
    ordinal: int | None
    """For `rebuild`: the run number that is this claim's alone."""
    attempt: int
    """1 for the first."""
    expires_at: datetime
    """By the coordinator's clock."""
    lease_s: float
    """How long a heartbeat holds; say one well within it."""

    @property
    def held(self) -> Held:
        """The part that heartbeats and reports name."""
        return Held(job=self.job, fence=self.fence)


class Leases(Protocol):
    """The coordinator as one worker sees it: who the worker is was settled when this was made.

    All methods raise LeaseLost when the job is not this claim's any more, Forbidden when the worker is not (any more)
    accepted or not in that role, and NetworkFailure when there was no answer.
    """

    def claim(self, kind: JobKind, job: int | None = None) -> Claim | None:
        """Take the most urgent job of a kind, or that certain one; None when there is nothing for this worker."""

    def heartbeat(self, claim: Claim) -> bool:
        """Hold on to a job; return whether a person wants it stopped."""

    def report_done(self, claim: Claim, output: Digest) -> None:
        """Hand in a result, which is a blob by then. The same report again changes nothing."""

    def report_failed(self, claim: Claim, cause: Cause, message: str) -> None:
        """Say why there is no result; the coordinator decides whether and when the job is tried again."""

    def refused(self, task: str, reason: str, job: int | None = None) -> None:
        """Tell that a wake-up was refused, so that somebody looks at what the broker carries."""
