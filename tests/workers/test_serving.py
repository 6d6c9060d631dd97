"""A worker's loop: whoever loses his lease stops, defects are told, and a report is told until somebody answers."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import cast

import pytest

from rebuilder.errors import EngineFailure, LeaseLost, NetworkFailure, ToolFailure
from rebuilder.model.cause import Cause
from rebuilder.model.digest import Digest
from rebuilder.model.job import JobKind
from rebuilder.progress import Silent
from workers import serving
from workers.lease.protocol import Claim
from workers.roles.place import Place, Step
from workers.serving import Post, serve

OUTPUT = Digest.of(b"report")


@dataclass
class FakeLeases:
    """Has one job, and notes what it is told."""

    jobs: int = 1
    cancels: bool = False
    loses: bool = False
    deaf: int = 0
    """How many reports nobody answers."""
    told: list[object] = field(default_factory=list)

    def claim(self, kind: JobKind, job: int | None = None) -> Claim | None:
        """See Leases.claim: a named job is somebody else's already."""
        if job is not None or not self.jobs:
            return None
        self.jobs -= 1
        expires = datetime.now(UTC)
        return Claim(
            job=7, fence=1, kind=kind, target="t", input=None, ordinal=None, attempt=1, expires_at=expires, lease_s=30
        )

    def heartbeat(self, claim: Claim) -> bool:
        """See Leases.heartbeat."""
        if self.loses:
            raise LeaseLost("job 7 is somebody else's")
        return self.cancels

    def report_done(self, claim: Claim, output: Digest) -> None:
        """See Leases.report_done."""
        if self.deaf:
            self.deaf -= 1
            raise NetworkFailure("no answer")
        self.told.append(output)

    def report_failed(self, claim: Claim, cause: Cause, message: str) -> None:
        """See Leases.report_failed."""
        self.told.append((cause, message))

    def refused(self, task: str, reason: str, job: int | None = None) -> None:
        """See Leases.refused."""


class FakePlace:
    """Listens."""

    progress = Silent()


def post(leases: FakeLeases, step: Step) -> Post:
    """Put a worker together."""
    return Post(kind=JobKind.COMPARE, step=step, place=cast("Place", FakePlace()), leases=leases, heartbeat_s=0.05)


def long(claim: Claim, place: Place) -> Digest:
    """Work far longer than anybody waits."""
    time.sleep(60)
    return OUTPUT


def test_a_step_whose_lease_is_lost_is_interrupted() -> None:
    """It ends at once, and nothing is reported: somebody else does the job."""
    leases = FakeLeases(loses=True)
    begun = time.monotonic()
    assert serve(post(leases, long)) == 1
    assert time.monotonic() - begun < 5
    assert leases.told == []


def test_a_step_that_a_person_stops_is_interrupted() -> None:
    """It ends at once, and that is reported, so that the job is cancelled now and not when the lease ends."""
    leases = FakeLeases(cancels=True)
    assert serve(post(leases, long)) == 1
    assert leases.told == [(Cause.INFRASTRUCTURE, "job 7 was stopped by a person")]


def test_errors_of_ours_are_reported_with_their_cause() -> None:
    """The coordinator decides by the cause whether the job is tried again; the loop goes on."""
    leases = FakeLeases(jobs=2)

    def failing(claim: Claim, place: Place) -> Digest:
        raise ToolFailure("diffoscope is missing")

    assert serve(post(leases, failing)) == 2
    assert leases.told == [(Cause.INFRASTRUCTURE, "diffoscope is missing")] * 2


def test_who_is_not_ready_claims_nothing() -> None:
    """An engine that went away is found before the next claim: the second job is not begun, and so does not fail."""
    leases = FakeLeases(jobs=2)
    asked = iter((None, EngineFailure("no container engine answers")))

    def ready() -> None:
        error = next(asked)
        if error is not None:
            raise error

    with pytest.raises(EngineFailure):
        serve(replace(post(leases, lambda *_: OUTPUT), ready=ready))
    assert (leases.told, leases.jobs) == ([OUTPUT], 1)


def test_a_defect_is_reported_and_raised() -> None:
    """A fault of ours is no secret: the job says so, and so does the log."""
    leases = FakeLeases()

    def defective(claim: Claim, place: Place) -> Digest:
        raise ZeroDivisionError("division by zero")

    with pytest.raises(ZeroDivisionError):
        serve(post(leases, defective))
    assert leases.told == [(Cause.INFRASTRUCTURE, "defect: ZeroDivisionError: division by zero")]


def test_a_report_is_told_until_somebody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A coordinator that is away for a while costs no work."""
    monkeypatch.setattr(serving, "_PAUSE_S", 0.01)
    leases = FakeLeases(deaf=3)

    def quick(claim: Claim, place: Place) -> Digest:
        return OUTPUT

    assert serve(post(leases, quick), job=9) == 1
    assert leases.told == [OUTPUT]
