"""Processes of the farm killed at chosen points, the ledger crashed inside a transaction, and a disk that is full."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from rebuilder.errors import StorageFailure
from rebuilder.model.job import Job, JobKind, JobState
from rebuilder.store import farm_tables
from tests.workers.faults.farm import BUILDERS, COORDINATORS, Farm, Hold
from tests.workers.faults.outcome import outcome_of

Say = Callable[[str], None]


def begun(farm: Farm, kind: JobKind, name: str, hold: Hold) -> Job:
    """Wait until a job is where its test holds it."""
    farm.wait(lambda: hold.is_reached, f"{kind} of {name} did not get that far")
    job = farm.job(kind, name)
    assert job is not None
    return job


def verify_whole(farm: Farm, say: Say, fault: str) -> None:
    """Wait for the end; every count must be right."""
    farm.wait_for_the_end()
    found = outcome_of(farm)
    say(f"{fault}: {found}")
    assert found.is_whole, farm.said()


QUICK = ((JobKind.REBUILD, False), (JobKind.REBUILD, True), (JobKind.SIGN, True), (JobKind.PUBLISH, True))
EVERY = tuple((kind, done) for kind in JobKind for done in (False, True))


@pytest.mark.parametrize(
    "points", [pytest.param(QUICK, id="quick"), pytest.param(EVERY, id="every", marks=pytest.mark.slow)]
)
def test_workers(farm: Farm, points: tuple[tuple[JobKind, bool], ...], say: Say) -> None:
    """SIGKILL to a worker and its child when it holds a job, or has done all of it but the report.

    For the signer the second is between signing and recording: the journal gives the same documents again. The other
    test, of every step, kills at all the points between; here Celery and Redis are there as well.
    """
    struck = [_killed_at(farm, kind, done, f"{len(points)}-{kind}-{done}".lower()) for kind, done in points]
    farm.wait_for_the_end()
    leases = [len(farm.jobs.leases_of(number)) for number in struck]
    verify_whole(farm, say, f"kill -9 of {len(struck)} workers that hold a job, leases of these jobs {leases}")
    assert min(leases) >= 2


def _killed_at(farm: Farm, kind: JobKind, done: bool, name: str) -> int:  # noqa: FBT001 - a point of the table above
    with farm.hold(kind, name, done=done) as hold:
        farm.owe(name)
        job = begun(farm, kind, name, hold)
        victim = farm.holder(job)
        farm.kill(victim)
    farm.start(victim)
    return job.id


def test_a_pool_child(farm: Farm, say: Say) -> None:
    """SIGKILL to the child in which Celery works, alone: its parent lives on, and the job is done."""
    with farm.hold(JobKind.REBUILD, "child") as hold:
        farm.owe("child")
        job = begun(farm, JobKind.REBUILD, "child", hold)
        name = farm.holder(job)
        parent = farm.processes[name].pid
        os.kill(farm.pool_child(name), signal.SIGKILL)
    farm.wait_for_the_end()
    assert farm.processes[name].poll() is None
    assert farm.processes[name].pid == parent
    leases = len(farm.jobs.leases_of(job.id))
    assert leases == 2
    verify_whole(farm, say, f"kill -9 of the pool child of {name}, {leases} leases")


def office_of(farm: Farm) -> tuple[str, int]:
    """Tell which coordinator sweeps, and under which fence."""
    with farm.database.read() as connection:
        row = connection.execute(sa.select(farm_tables.leader)).one()
    pid = int(row.holder.rpartition("-")[2])
    name = next((name for name in COORDINATORS if farm.processes[name].pid == pid), "somebody else")
    return name, row.fence


def test_two_coordinators_and_the_leader_killed(farm: Farm, say: Say) -> None:
    """Two at once on one ledger, a worker of each in one quorum; SIGKILL to the one that sweeps: the other does."""
    with farm.hold(JobKind.REBUILD, "led") as hold:
        farm.owe("led", quorum=2)
        farm.wait(lambda: _held(farm) == 2, "both builders do not work")
        begun(farm, JobKind.REBUILD, "led", hold)
        leader, fence = office_of(farm)
        farm.kill(leader)
        farm.start(leader)
        farm.wait(lambda: office_of(farm)[1] > fence, "nobody took over")
    heir, next_fence = office_of(farm)
    verify_whole(farm, say, f"kill -9 of {leader}, which swept under fence {fence}; {heir} does under {next_fence}")


def _held(farm: Farm) -> int:
    with farm.database.read() as connection:
        alive = farm_tables.leases.c.ended_at.is_(None)
        return connection.scalar(sa.select(sa.func.count()).select_from(farm_tables.leases).where(alive)) or 0


def test_the_ledger_crashes_inside_a_transaction(farm: Farm, say: Say) -> None:
    """PostgreSQL ends at once while the transaction of a report is open, waiting for a row that the test has locked."""
    server = farm.postgres
    assert server is not None
    with farm.hold(JobKind.REBUILD, "open") as hold:
        farm.owe("open")
        job = begun(farm, JobKind.REBUILD, "open", hold)
        locked, crashed = threading.Event(), threading.Event()
        thread = threading.Thread(target=_lock, args=(farm, job.id, locked, crashed))
        thread.start()
        assert locked.wait(10)
    try:
        farm.wait(lambda: _waiting(farm), "no transaction waits for the row")
    finally:
        server.stop("immediate")
        crashed.set()
        thread.join()
    server.start()
    farm.wait(lambda: _answers(farm), "the ledger does not come back")
    verify_whole(farm, say, "PostgreSQL crashed inside the transaction of a report")


def _lock(farm: Farm, number: int, locked: threading.Event, crashed: threading.Event) -> None:
    try:
        with farm.database.write() as connection:
            row = sa.select(farm_tables.jobs.c.id).where(farm_tables.jobs.c.id == number)
            connection.execute(row.with_for_update())
            locked.set()
            crashed.wait(60)
    except StorageFailure:
        return  # the server is gone, and the lock with it


def _waiting(farm: Farm) -> int:
    """Count the transactions that have begun and wait for a lock."""
    with farm.database.read() as connection:
        query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND xact_start IS NOT NULL"
        return connection.scalar(sa.text(query)) or 0


def _answers(farm: Farm) -> bool:
    try:
        farm.owed()
    except StorageFailure:
        return False
    return True


def test_a_full_disk(farm: Farm, say: Say) -> None:
    """The builders' disk is full, really: what they report is infrastructure's fault, and with room again all is done.

    The disk is a file system of each builder's own, in a mount namespace that ends with the process.
    """
    for name in BUILDERS:
        farm.kill(name)
        farm.start(name, under=_with_full_disk(farm.root / name / "cache"))
    farm.owe("full-disk")
    farm.wait(lambda: (job := farm.job(JobKind.REBUILD, "full-disk")) and job.message, "no disk was full")
    job = farm.job(JobKind.REBUILD, "full-disk")
    assert job is not None
    assert job.state in {JobState.WAITING, JobState.READY, JobState.LEASED}, job
    assert "No space left on device" in job.message
    for name in BUILDERS:
        ballast(farm, name).unlink()
    farm.wait_for_the_end()
    leases = len(farm.jobs.leases_of(job.id))
    for name in BUILDERS:
        farm.kill(name)
    verify_whole(farm, say, f"the builders' disks full, {leases} leases, the first ended with {job.message!r}")


def _with_full_disk(path: Path) -> tuple[str, ...]:
    path.mkdir(exist_ok=True)
    script = 'mount -t tmpfs -o size=1m none "$0" && dd if=/dev/zero of="$0/ballast" bs=4k 2>/dev/null; exec "$@"'
    return ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, str(path))


def ballast(farm: Farm, name: str) -> Path:
    """Find the file that fills a builder's disk, as the builder's process sees it."""
    return Path(f"/proc/{farm.processes[name].pid}/root") / (farm.root / name / "cache" / "ballast").relative_to("/")
