"""What goes over the wire as JSON, each way; `rebuilder.model.codec` reads it and refuses everything else."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from rebuilder.model.cause import Cause
from rebuilder.model.digest import Digest
from rebuilder.model.job import JobKind, ResourceClass
from workers.lease.protocol import Held

LARGEST_NUMBER = 2**31 - 1
"""Of a job and of a fence: what every database has room for."""
MESSAGE_LIMIT = 1000
"""Characters of a failure's sentence that are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrol:
    """POST /v1/enrol, signed with the key that it brings: proof that the sender has its private half."""

    token: str
    """From the operator, good for one key; it says the roles, tags, resources and fault domain, not the worker."""
    pem: str
    name: str
    """For people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolled:
    """Answer to `Enrol`."""

    keyid: str
    roles: tuple[JobKind, ...]
    tags: tuple[str, ...]
    resources: tuple[ResourceClass, ...]
    fault_domain: str
    coordinator_pem: str
    """The key that signs wake-ups."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimWanted:
    """POST /v1/claim; the answer is a `protocol.Claim`, or 204."""

    kind: JobKind
    job: int | None = None

    def __post_init__(self) -> None:
        if self.job is not None:
            _verify_number("job", self.job)


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """POST /v1/heartbeat."""

    job: int
    fence: int

    def __post_init__(self) -> None:
        _verify_number("job", self.job)
        _verify_number("fence", self.fence)

    @property
    def held(self) -> Held:
        """The lease that is meant."""
        return Held(job=self.job, fence=self.fence)


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """Answer to `Heartbeat`."""

    cancel: bool
    """Whether the job is to be stopped."""


class Ending(StrEnum):
    """How a lease ended, as its holder says."""

    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """POST /v1/report: a result, or a cause and a sentence."""

    job: int
    fence: int
    outcome: Ending
    output: Digest | None = None
    cause: Cause | None = None
    message: str = ""

    def __post_init__(self) -> None:
        _verify_number("job", self.job)
        _verify_number("fence", self.fence)
        if self.outcome is Ending.DONE and (self.output is None or self.cause is not None or self.message):
            raise ValueError("a job that is done has an output, no cause and no message")
        if self.outcome is Ending.FAILED and (self.output is not None or self.cause is None):
            raise ValueError("a job that failed has a cause and no output")

    @property
    def held(self) -> Held:
        """The lease that is meant."""
        return Held(job=self.job, fence=self.fence)


@dataclass(frozen=True, slots=True, kw_only=True)
class WakeRefused:
    """POST /v1/refused: the broker carried what this worker did not accept."""

    task: str
    reason: str
    job: int | None = None

    def __post_init__(self) -> None:
        if self.job is not None:
            _verify_number("job", self.job)


@dataclass(frozen=True, slots=True, kw_only=True)
class Time:
    """Answer of GET /v1/time."""

    now: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """Answer to what needs no other."""

    accepted: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Answer to what is refused."""

    error: str
    hint: str | None = None


def _verify_number(name: str, number: int) -> None:
    if not 1 <= number <= LARGEST_NUMBER:
        raise ValueError(f"{name}: expected a number from 1 to {LARGEST_NUMBER}, found {number}")
