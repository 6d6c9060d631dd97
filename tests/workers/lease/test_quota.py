"""How much a worker may send: who fills the disk is refused, and the others are not."""

from __future__ import annotations

import http.client
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rebuilder.attest.signing import KeySigner
from rebuilder.errors import StorageFailure
from rebuilder.model.cause import Cause
from rebuilder.model.digest import Digest
from rebuilder.model.job import JobKind
from tests.workers.lease.conftest import EVENTS_AN_HOUR, Office, new_signer, worker
from tests.workers.lease.serving import LIMITS, Served, refused, serving
from workers.lease.allowance import Allowance, QuotaUsedUp

QUOTA = 100_000
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.fixture
def served(office: Office, tmp_path: Path) -> Iterator[Served]:
    """Serve a coordinator that takes little of each worker."""
    with serving(office, tmp_path, limits=replace(LIMITS, day_bytes=QUOTA)) as coordinator:
        yield coordinator


def upload(served: Served, signer: KeySigner, data: bytes) -> int:
    """Put a blob; return the status."""
    path = f"/v1/blobs/sha256/{Digest.of(data).hex}"
    return served.send("PUT", path, data, served.signed(signer, "PUT", path, data)).status_code


def test_attack_filling_the_disk(served: Served) -> None:
    """A builder that was taken over is refused beyond its quota, recorded, and heard again when a day has passed.

    Another builder, and the planner who brings sources, send as before.
    """
    hostile, honest = served.enrolled(JobKind.REBUILD), served.enrolled(JobKind.REBUILD, domain="rack-2")
    planner = served.enrolled(JobKind.PLAN)
    sent = [upload(served, hostile, os.urandom(30_000)) for _ in range(6)]
    assert sent == [201, 201, 201, 507, 507, 507]
    assert [kind for kind, _ in served.office.events()] == ["upload-refused"] * 3
    assert served.office.events()[0][1] == (
        "worker comparer-1: expected at most 97.7 KiB of new blobs a day, found 87.9 KiB and 29.3 KiB more"
    )
    assert upload(served, honest, os.urandom(90_000)) == 201
    assert [upload(served, planner, os.urandom(90_000)) for _ in range(3)] == [201] * 3
    assert list((served.root / "spool").iterdir()) == []
    served.office.clock.pass_by(86_400)
    assert upload(served, hostile, os.urandom(90_000)) == 201


def test_attack_announcing_more_than_is_sent(served: Served) -> None:
    """What is announced is charged before a byte comes, so that many slow uploads do not fill the spool together.

    It is given back when nothing came.
    """
    signer = served.enrolled(JobKind.REBUILD)
    data = os.urandom(80_000)
    path = f"/v1/blobs/sha256/{Digest.of(data).hex}"
    connection = http.client.HTTPConnection(served.base.removeprefix("http://"), timeout=10)
    connection.putrequest("PUT", path)
    for name, value in served.signed(signer, "PUT", path, data).items():
        connection.putheader(name, value)
    connection.putheader("Content-Length", str(len(data)))
    connection.endheaders(data[:10])
    while not any(str(served.root / "spool") in name for name in open_files()):
        pass
    assert upload(served, signer, os.urandom(30_000)) == 507
    assert connection.getresponse().status == 408
    connection.close()
    assert upload(served, signer, os.urandom(90_000)) == 201


def open_files() -> Iterator[str]:
    """Name every file that this process has open, those without a name by the directory that they are in."""
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            yield str(entry.readlink())


def test_a_flood_of_refused_uploads_is_recorded_within_bounds(served: Served) -> None:
    """The ledger is not filled with refusals instead."""
    signer = served.enrolled(JobKind.REBUILD)
    for _ in range(EVENTS_AN_HOUR + 5):
        assert upload(served, signer, os.urandom(QUOTA + 1)) == 507
    assert len(served.office.events()) == EVENTS_AN_HOUR


def test_what_is_there_costs_nothing(served: Served) -> None:
    """The same blob again is no new one; bytes that were not the ones named are not counted either."""
    signer = served.enrolled(JobKind.REBUILD)
    data = os.urandom(60_000)
    assert [upload(served, signer, data) for _ in range(3)] == [201, 200, 200]
    path = f"/v1/blobs/sha256/{Digest.of(b'x' * 30_000).hex}"
    for _ in range(4):
        answer = served.send("PUT", path, b"y" * 30_000, served.signed(signer, "PUT", path, b"x" * 30_000))
        refused(answer, 422, "found sha256:")
    assert upload(served, signer, os.urandom(40_000)) == 201


def test_a_worker_is_told_that_there_is_no_room(served: Served) -> None:
    """Its job fails for infrastructure, so that another worker is given it soon; it does not ask again and again."""
    blobs = served.blobs(served.enrolled(JobKind.REBUILD))
    blobs.put(os.urandom(90_000))
    with pytest.raises(StorageFailure, match=r"expected at most 97\.7 KiB of new blobs a day") as caught:
        blobs.put(os.urandom(30_000))
    assert caught.value.cause is Cause.INFRASTRUCTURE
    assert len(served.office.events()) == 1


def test_the_last_of_the_disk_is_nobodys(office: Office, tmp_path: Path) -> None:
    """Nobody's upload takes what the ledger may need; it is nobody's fault, and no event."""
    with serving(office, tmp_path, limits=replace(LIMITS, reserve_bytes=2**60)) as served:
        signer = served.enrolled(JobKind.PLAN)
        data = b"small"
        path = f"/v1/blobs/sha256/{Digest.of(data).hex}"
        answer = served.send("PUT", path, data, served.signed(signer, "PUT", path, data))
        refused(answer, 507, "the coordinator's disk is nearly full")
        assert "`python -m workers garbage`" in answer.json()["hint"]
        assert served.office.events() == []
        assert not served.office.desk.blobs.has(Digest.of(data))


def test_the_measure_runs_empty_evenly() -> None:
    """Half a day gives half the quota again; a clock that goes back gives nothing, and nothing goes below empty."""
    allowance, builder = Allowance(100), worker(new_signer(), JobKind.REBUILD)

    def send(size: int, at: datetime) -> None:
        with allowance.charged(builder, size, at):
            pass

    send(100, NOON)
    for size, hours in ((1, 0), (51, 12), (51, -3), (51, 12)):
        with pytest.raises(QuotaUsedUp):
            send(size, NOON + timedelta(hours=hours))
    send(50, NOON + timedelta(hours=12))
    send(100, NOON + timedelta(days=9))
    with pytest.raises(QuotaUsedUp):
        send(1, NOON + timedelta(days=9))
