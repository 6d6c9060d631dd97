"""The lease API, both ends real: uvicorn on loopback and the client that workers use."""

from __future__ import annotations

import dataclasses
import os
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from rebuilder.errors import (
    ConfigurationError,
    DigestMismatch,
    LeaseLost,
    NetworkFailure,
    ResourceExhausted,
    StorageFailure,
    UsageError,
)
from rebuilder.model.cause import Cause
from rebuilder.model.digest import Digest
from rebuilder.model.job import JobKind, JobState
from rebuilder.store.blobs import LocalBlobs
from rebuilder.store.selection import Selection
from tests.servers import free_port
from tests.workers.lease.conftest import LEASE, Clock, Office, new_signer
from tests.workers.lease.serving import QUICK, Served, serving
from workers.lease.client import HttpLeases, RemoteBlobs, enrol
from workers.lease.http import Wire
from workers.lease.protocol import Forbidden


@pytest.fixture
def served(office: Office, tmp_path: Path) -> Iterator[Served]:
    """Serve a coordinator."""
    with serving(office, tmp_path) as coordinator:
        yield coordinator


def test_a_worker_enrols_claims_and_reports(served: Served) -> None:
    """The whole life of a job over HTTP, from a token on: what the token says holds, whatever the worker would like."""
    signer = new_signer()
    enrolled, coordinator = enrol(served.wire(signer), signer.public_key, served.token(JobKind.COMPARE), "comparer-9")
    assert (enrolled.keyid, enrolled.roles, enrolled.fault_domain) == (
        signer.public_key.keyid,
        (JobKind.COMPARE,),
        "rack-1",
    )
    assert coordinator == served.coordinator.public_key
    leases, blobs = served.leases(signer), served.blobs(signer)
    assert leases.claim(JobKind.COMPARE) is None
    number = served.office.owe(input_=served.office.desk.blobs.put(b"the task"))
    claim = leases.claim(JobKind.COMPARE)
    assert claim is not None
    assert claim.input is not None
    assert (claim.job, claim.lease_s, blobs.get(claim.input)) == (number, LEASE.total_seconds(), b"the task")
    assert leases.heartbeat(claim) is False
    output = blobs.put(b"the result")
    leases.report_done(claim, output)
    leases.report_done(claim, output)
    job = served.office.desk.jobs.job(number)
    assert (job.state, job.output) == (JobState.DONE, output)
    assert served.office.desk.blobs.get(output) == b"the result"
    assert served.office.events() == []


def test_a_certain_job_is_claimed(served: Served) -> None:
    """A wake-up names a job: that one is given, not the most urgent; a second claim of it finds nothing."""
    leases = served.leases(served.enrolled())
    served.office.owe("first")
    second = served.office.owe("second")
    claim = leases.claim(JobKind.COMPARE, second)
    assert claim is not None
    assert claim.job == second
    assert leases.claim(JobKind.COMPARE, second) is None


def test_a_failure_is_reported_with_its_cause(served: Served) -> None:
    """The coordinator decides what follows a failure; the same report again is no second failure."""
    leases = served.leases(served.enrolled())
    number = served.office.owe()
    claim = leases.claim(JobKind.COMPARE)
    assert claim is not None
    for _ in range(2):
        leases.report_failed(claim, Cause.INFRASTRUCTURE, "disk full " * 200)
    job = served.office.desk.jobs.job(number)
    assert (job.state, job.cause, job.attempts, len(job.message)) == (JobState.WAITING, Cause.INFRASTRUCTURE, 1, 1000)


def test_a_person_stops_a_job(served: Served) -> None:
    """A heartbeat brings the wish of a person to stop."""
    leases = served.leases(served.enrolled())
    number = served.office.owe()
    claim = leases.claim(JobKind.COMPARE)
    assert claim is not None
    served.office.desk.jobs.cancel(Selection(jobs=(number,)), served.office.clock(), reason="not wanted")
    assert leases.heartbeat(claim) is True


def test_attack_report_with_a_stale_fence(served: Served) -> None:
    """A worker that was cut off is told LeaseLost, and an event names it; what it handed in does not count."""
    late, other = served.enrolled(), served.enrolled(domain="rack-2")
    number = served.office.owe()
    claim = served.leases(late).claim(JobKind.COMPARE)
    assert claim is not None
    served.office.clock.pass_by(LEASE.total_seconds() + 1)
    served.office.desk.jobs.expire(served.office.clock())
    served.office.clock.pass_by(60)
    served.office.desk.jobs.ripen(served.office.clock())
    again = served.leases(other).claim(JobKind.COMPARE)
    assert again is not None
    with pytest.raises(LeaseLost, match="under fence 2"):
        served.leases(late).report_done(claim, served.blobs(late).put(b"late"))
    served.leases(other).report_done(again, served.blobs(other, "other").put(b"in time"))
    assert served.office.desk.jobs.job(number).output == Digest.of(b"in time")
    assert [kind for kind, _ in served.office.events()] == ["lease-refused"]


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_workers_clock_may_be_an_hour_off(served: Served, hours: int) -> None:
    """A worker learns the coordinator's time when it is refused once, and signs by it from then on."""
    clock = Clock(now=served.office.clock() + timedelta(hours=hours))
    leases = HttpLeases(Wire(served.base, served.enrolled(), patience=QUICK, clock=clock))
    number = served.office.owe()
    claim = leases.claim(JobKind.COMPARE)
    assert claim is not None
    assert claim.job == number
    assert leases.heartbeat(claim) is False
    assert served.office.events() == []


def test_a_wrong_role_is_refused(served: Served) -> None:
    """A builder cannot claim what is to be signed."""
    signer = served.enrolled(JobKind.REBUILD)
    served.office.owe(kind=JobKind.SIGN)
    with pytest.raises(Forbidden, match="in the roles rebuild, found one for sign"):
        served.leases(signer).claim(JobKind.SIGN)
    assert [kind for kind, _ in served.office.events()] == ["worker-refused"]


def test_a_revoked_or_unknown_worker_is_refused(served: Served) -> None:
    """Who was revoked gets nothing more, who never was enrolled nothing at all; both are recorded."""
    signer = served.enrolled()
    assert served.leases(signer).claim(JobKind.COMPARE) is None
    served.members.revoke(signer.public_key.keyid, served.office.clock())
    with pytest.raises(Forbidden, match="was revoked at"):
        served.leases(signer).claim(JobKind.COMPARE)
    with pytest.raises(Forbidden, match="is not enrolled"):
        served.leases(new_signer()).claim(JobKind.COMPARE)
    assert [kind for kind, _ in served.office.events()] == ["worker-refused"] * 2


def test_a_token_is_good_for_one_key(served: Served) -> None:
    """The same worker may ask again, for its answer may have got lost; another key is refused, and recorded."""
    token = served.token(JobKind.REBUILD)
    first, second = new_signer(), new_signer()
    for _ in range(2):
        enrol(served.wire(first), first.public_key, token, "builder-1")
    with pytest.raises(Forbidden, match="was used by key"):
        enrol(served.wire(second), second.public_key, token, "builder-2")
    assert [kind for kind, _ in served.office.events()] == ["worker-refused"]


def test_blobs_go_both_ways(served: Served, tmp_path: Path) -> None:
    """Bytes and files, empty and large, reach the coordinator and another worker; twice changes nothing."""
    signer = served.enrolled()
    near, far = served.blobs(signer), served.blobs(signer, "elsewhere")
    large = os.urandom(2_500_000)
    (tmp_path / "file").write_bytes(large)
    digest = near.put_file(tmp_path / "file")
    assert near.put_file(tmp_path / "file") == digest
    assert far.has(digest)
    assert far.get(digest) == large
    assert far.path(digest).read_bytes() == large
    assert far.get(near.put(b"")) == b""
    assert not far.has(Digest.of(b"never put"))
    with pytest.raises(StorageFailure, match="neither here nor at the coordinator"):
        far.get(Digest.of(b"never put"))
    assert list((served.root / "spool").iterdir()) == []


def test_a_cache_tells_what_it_had(served: Served, tmp_path: Path) -> None:
    """A blob is fetched once; whoever counts hears of both."""
    heard: list[bool] = []
    wire = served.wire(served.enrolled())
    blobs = RemoteBlobs(wire, LocalBlobs(tmp_path / "cache"), heard.append)
    digest = served.office.desk.blobs.put(b"at the coordinator")
    assert blobs.get(digest) == blobs.path(digest).read_bytes()
    assert heard == [False, True]


def test_attack_spoilt_blob_at_the_coordinator(served: Served) -> None:
    """Other bytes under a blob's name are refused by the worker, and not kept."""
    store = served.office.desk.blobs
    assert isinstance(store, LocalBlobs)
    digest = store.put(b"as it was")
    store.path(digest).chmod(0o644)
    store.path(digest).write_bytes(b"something")
    blobs = served.blobs(served.enrolled())
    with pytest.raises(DigestMismatch, match="expected sha256:"):
        blobs.get(digest)
    assert not LocalBlobs(served.root / "cache").has(digest)


def test_attack_oversized_blob(served: Served) -> None:
    """A blob beyond the bound is refused before its bytes are taken."""
    with pytest.raises((ResourceExhausted, NetworkFailure)):
        served.blobs(served.enrolled()).put(b"x" * 3_000_001)
    assert not served.office.desk.blobs.has(Digest.of(b"x" * 3_000_001))


def test_a_blob_larger_than_expected_is_not_taken(served: Served) -> None:
    """The reader's own bound holds, whatever the coordinator sends."""
    digest = served.office.desk.blobs.put(b"x" * 100_000)
    with pytest.raises(NetworkFailure, match="more than 50000 bytes"):
        served.blobs(served.enrolled()).get(digest, limit_bytes=50_000)


def test_a_job_that_is_not_there(served: Served) -> None:
    """A report on no job is a mistake, said plainly."""
    leases = served.leases(served.enrolled())
    served.office.owe()
    claim = leases.claim(JobKind.COMPARE)
    assert claim is not None
    with pytest.raises(UsageError, match="no job 4711"):
        leases.report_failed(dataclasses.replace(claim, job=4711), Cause.INFRASTRUCTURE, "?")


def test_no_coordinator_is_a_network_failure(tmp_path: Path) -> None:
    """Nobody listens: said with what to look at, after the attempts are used up."""
    wire = Wire(f"http://127.0.0.1:{free_port()}", new_signer(), patience=QUICK)
    with pytest.raises(NetworkFailure, match="the connection failed") as caught:
        HttpLeases(wire).claim(JobKind.COMPARE)
    assert "reachable" in str(caught.value.hint)
    with pytest.raises(NetworkFailure):
        RemoteBlobs(wire, LocalBlobs(tmp_path)).has(Digest.of(b""))


def test_a_broken_connection_is_tried_again(served: Served) -> None:
    """A heartbeat outlives a coordinator that comes back in time; a claim is not sent twice by itself."""
    signer = served.enrolled()
    served.office.owe()
    claim = served.leases(signer).claim(JobKind.COMPARE)
    assert claim is not None
    port = free_port()
    answers: list[bool] = []
    base = f"http://127.0.0.1:{port}"
    wire = Wire(base, signer, clock=served.office.clock)
    thread = threading.Thread(target=lambda: answers.append(HttpLeases(wire).heartbeat(claim)))
    thread.start()
    with serving(served.office, served.root, port=port):
        thread.join(20)
    assert answers == [False]


@pytest.mark.parametrize("base", ["ftp://archive.test", "http://", "archive.test", "http://archive.test/?a=b"])
def test_a_coordinators_address_is_checked(base: str) -> None:
    """What is no address of a coordinator is named at once."""
    with pytest.raises(ConfigurationError, match="expected http:// or https://"):
        Wire(base, new_signer())


def test_health_needs_no_key(served: Served) -> None:
    """Alive, ready and the time are told to everybody, and nothing else is."""
    assert served.send("GET", "/healthz", b"", {}).json() == {"status": "ok"}
    assert served.send("GET", "/readyz", b"", {}).json() == {"status": "ok", "parts": {}}
    assert set(served.send("GET", "/v1/time", b"", {}).json()) == {"now"}
