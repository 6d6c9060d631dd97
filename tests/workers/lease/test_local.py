"""Leases in one process: what the desk does, whoever calls it."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from rebuilder.errors import HostileInput, LeaseLost, SignatureRefused
from rebuilder.model.cause import Cause
from rebuilder.model.digest import Digest
from rebuilder.model.job import Job, JobKind, JobState
from rebuilder.store.jobs import Then
from tests.workers.lease.conftest import LEASE, Nothing, Office, new_signer, worker
from workers.lease.local import LocalLeases
from workers.lease.protocol import Claim, Leases


def claimed(leases: Leases, kind: JobKind = JobKind.COMPARE) -> Claim:
    """Claim what there must be."""
    claim = leases.claim(kind)
    assert claim is not None
    return claim


def test_a_job_is_claimed_held_and_reported_once(office: Office) -> None:
    """A claim tells the job whole; a heartbeat holds it beyond its time; one report ends it, however often said."""
    leases: Leases = LocalLeases(office.desk, worker(new_signer()))
    task, output = office.desk.blobs.put(b"{}"), office.desk.blobs.put(b"result")
    number = office.owe(input_=task)
    claim = claimed(leases)
    assert (claim.job, claim.fence, claim.input, claim.attempt) == (number, 1, task, 1)
    assert claim.lease_s == LEASE.total_seconds()
    assert leases.claim(JobKind.COMPARE) is None
    office.clock.pass_by(50)
    assert leases.heartbeat(claim) is False
    office.clock.pass_by(50)
    assert office.desk.jobs.expire(office.clock()) == ()
    leases.report_done(claim, output)
    leases.report_done(claim, output)
    assert office.desk.jobs.job(number).output == output
    assert office.changed[0].state is JobState.DONE
    assert office.events() == []


def test_what_follows_happens_in_the_reports_transaction(office: Office) -> None:
    """The transition of the job's kind runs with the report; when it fails, nothing was reported."""

    def spoil(connection: Any, job: Job) -> None:
        raise HostileInput("no next step")

    class Spoiling(Nothing):
        def done(self, job: Job, output: Digest) -> Then:
            return spoil

    desk = dataclasses.replace(office.desk, follow=Spoiling())
    leases = LocalLeases(desk, worker(new_signer()))
    number = office.owe()
    claim = claimed(leases)
    with pytest.raises(HostileInput, match="no next step"):
        leases.report_done(claim, office.desk.blobs.put(b"result"))
    assert office.desk.jobs.job(number).state is JobState.LEASED


def test_a_late_report_is_refused_and_recorded(office: Office) -> None:
    """Who lost his lease is told so, and an event names him, for done, failed and heartbeat alike."""
    late, other = (LocalLeases(office.desk, worker(new_signer())) for _ in range(2))
    office.owe()
    claim = claimed(late)
    office.clock.pass_by(LEASE.total_seconds() + 1)
    office.desk.jobs.expire(office.clock())
    office.clock.pass_by(60)
    office.desk.jobs.ripen(office.clock())
    assert claimed(other).fence == 2
    with pytest.raises(LeaseLost, match="expected a report under fence 2"):
        late.report_done(claim, office.desk.blobs.put(b"late"))
    with pytest.raises(LeaseLost):
        late.report_failed(claim, Cause.INFRASTRUCTURE, "late")
    with pytest.raises(LeaseLost):
        late.heartbeat(claim)
    assert [kind for kind, _ in office.events()] == ["lease-refused"] * 3


def test_a_result_must_be_in_the_store(office: Office) -> None:
    """A digest that nobody can read the bytes of is no result."""
    leases = LocalLeases(office.desk, worker(new_signer()))
    office.owe()
    with pytest.raises(HostileInput, match="not in the blob store"):
        leases.report_done(claimed(leases), Digest.of(b"never put"))


def test_a_failure_is_reported_once(office: Office) -> None:
    """The same failure again is an answer that got lost, no second failure; another one is stale."""
    leases = LocalLeases(office.desk, worker(new_signer()))
    number = office.owe()
    claim = claimed(leases)
    leases.report_failed(claim, Cause.INFRASTRUCTURE, "disk full")
    leases.report_failed(claim, Cause.INFRASTRUCTURE, "disk full")
    job = office.desk.jobs.job(number)
    assert (job.state, job.message, job.attempts) == (JobState.WAITING, "disk full", 1)
    with pytest.raises(LeaseLost):
        leases.report_failed(claim, Cause.INFRASTRUCTURE, "something else")


def test_a_builder_cannot_claim_what_is_to_be_signed(office: Office) -> None:
    """Roles come from enrolment: a builder's claim of another kind is refused and recorded."""
    leases = LocalLeases(office.desk, worker(new_signer(), JobKind.REBUILD))
    office.owe(kind=JobKind.SIGN)
    with pytest.raises(SignatureRefused, match="in the roles rebuild, found one for sign"):
        leases.claim(JobKind.SIGN)
    assert [kind for kind, _ in office.events()] == ["worker-refused"]


def test_a_refused_wake_up_is_recorded(office: Office) -> None:
    """What the broker carried, and a worker refused, is an event."""
    LocalLeases(office.desk, worker(new_signer())).refused("workers.compare", "expired", 7)
    ((kind, detail),) = office.events()
    assert kind == "wake-refused"
    assert "for job 7: expired" in detail


def test_attack_a_stale_report_of_nonsense(office: Office) -> None:
    """Who lost the lease is told that, and recorded, also where nobody could read the result."""

    class Strict(Nothing):
        def done(self, job: Job, output: Digest) -> Then | None:
            raise HostileInput("no report")

    desk = dataclasses.replace(office.desk, follow=Strict())
    late, other = (LocalLeases(desk, worker(new_signer())) for _ in range(2))
    office.owe()
    claim, nonsense = claimed(late), office.desk.blobs.put(b"nonsense")
    with pytest.raises(HostileInput, match="no report"):
        late.report_done(claim, nonsense)
    office.clock.pass_by(LEASE.total_seconds() + 1)
    office.desk.jobs.expire(office.clock())
    office.clock.pass_by(60)
    office.desk.jobs.ripen(office.clock())
    assert claimed(other).fence == 2
    for output in (nonsense, Digest.of(b"never put")):
        with pytest.raises(LeaseLost, match="under fence 2"):
            late.report_done(claim, output)
    assert [kind for kind, _ in office.events()] == ["lease-refused"] * 2
