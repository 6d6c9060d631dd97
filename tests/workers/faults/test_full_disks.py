"""The disk is full, really: below the blobs, the results, the ledger's server, the ledger's file. Nothing is lost.

A builder's own is in test_killed.py. Each time everybody stays up, and when there is room again all is done.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial

import pytest

from rebuilder.errors import StorageFailure
from rebuilder.model.job import JobKind
from tests.workers.faults.disks import small_disk
from tests.workers.faults.farm import BUILDERS, COORDINATORS, EVERYBODY, OFFICE, Farm, farm_in, place
from tests.workers.faults.outcome import outcome_of

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root makes file systems")
Say = Callable[[str], None]
_WAITED_S = 8
_FULL = "No space left on device"
_ALONE = (COORDINATORS[0], OFFICE, BUILDERS[0])
"""Who is there where the ledger is the first coordinator's file."""


def names(of: str, count: int) -> tuple[str, ...]:
    """Name made-up packages of one test."""
    return tuple(f"{of}-{number}" for number in range(count))


def verify_whole(farm: Farm, say: Say, fault: str, *names: str) -> None:
    """Wait for the end; every count must be right, and nobody was started again."""
    farm.wait_for_the_end()
    found = outcome_of(farm)
    say(f"{fault}: {found}")
    assert found.is_whole, farm.said()
    assert {name: farm.processes[name].poll() for name in names} == dict.fromkeys(names)


@pytest.mark.slow
def test_the_blobs_disk(say: Say) -> None:
    """The coordinators can keep nothing, and say so before they try: builds fail for it, and are tried again."""
    with place() as root, farm_in(root) as farm, small_disk(farm.blobs_dir) as disk:
        farm.start(*EVERYBODY)
        with farm.hold(JobKind.REBUILD, "blobs-0") as hold:
            farm.owe(*names("blobs", 4))
            farm.wait(lambda: hold.is_reached, "nothing is built")
            disk.fill()
        message = failed(farm, "blobs-0", JobKind.REBUILD)
        assert message == "the coordinator's disk is nearly full"
        disk.clear()
        verify_whole(farm, say, f"the blobs' disk full, a build ended with {message!r}", *EVERYBODY)


def test_the_results_disk(say: Say) -> None:
    """The publisher can write nothing, or half of something: nobody sees a part, and it is published later."""
    with place() as root, farm_in(root) as farm, small_disk(farm.results) as disk:
        farm.start(*EVERYBODY)
        farm.owe("results-before")
        farm.wait_for_the_end()
        with farm.hold(JobKind.PUBLISH, "results-0") as hold:
            farm.owe(*names("results", 4))
            farm.wait(lambda: hold.is_reached, "nothing is published")
            before = set(farm.results.rglob("dossier.json"))
            disk.fill()
        message = failed(farm, "results-0", JobKind.PUBLISH)
        assert _FULL in message
        assert set(farm.results.rglob("dossier.json")) == before
        disk.clear()
        verify_whole(farm, say, f"the results' disk full, a publication ended with {message!r}", *EVERYBODY)


def failed(farm: Farm, name: str, kind: JobKind) -> str:
    """Wait until a job has failed and is owed again; return why."""
    farm.wait(lambda: (job := farm.job(kind, name)) and job.message, f"{kind} of {name} did not fail")
    job = farm.job(kind, name)
    assert job is not None
    assert not job.state.is_final, job
    return job.message


def test_the_brokers_disk(say: Say) -> None:
    """Redis cannot keep its append-only file and refuses every write, also to take a message: its workers stay."""
    with place() as root, small_disk(root / "redis") as disk, farm_in(root) as farm:
        farm.start(*EVERYBODY)
        farm.owe("broker-before")
        farm.wait_for_the_end()
        disk.fill()
        farm.owe(*names("broker", 6))
        farm.wait(lambda: any(refusals(farm, "MISCONF")), "the broker took everything")
        time.sleep(_WAITED_S)
        counts = refusals(farm, "MISCONF")
        disk.clear()
        verify_whole(farm, say, f"the broker's disk full for {_WAITED_S} s, {counts} refusals", *EVERYBODY)


@pytest.mark.slow
def test_the_disk_of_the_ledgers_server(say: Say) -> None:
    """PostgreSQL can write nothing: coordinators and workers wait for it, also where it ended and is started again."""
    more = names("more", 12)
    with place() as root, small_disk(root / "postgres") as disk, farm_in(root) as farm:
        server = farm.postgres
        assert server is not None
        farm.start(*EVERYBODY)
        with farm.hold(JobKind.REBUILD, "server-0") as hold:
            farm.owe(*names("server", 6))
            farm.wait(lambda: hold.is_reached, "nothing is built")
            disk.fill()
        farm.wait(lambda: any(refusals(farm)), "the ledger took everything")
        refused = [name for name in more if not _owe(farm, name)]
        counts = refusals(farm)
        disk.clear()
        ended = not server.is_up
        if ended:
            server.start()
        for name in refused:
            farm.wait(partial(_owe, farm, name), "the ledger does not come back")
        told = f"{counts} refusals, {len(refused)} of {len(more)} packages not taken"
        verify_whole(farm, say, f"PostgreSQL's disk full, {told}, {'ended' if ended else 'stayed'}", *EVERYBODY)


def test_the_disk_of_the_ledgers_file(say: Say) -> None:
    """SQLite can write nothing: the coordinator refuses, and goes on when it can."""
    with place() as root, small_disk(root / "farm" / COORDINATORS[0]) as disk, farm_in(root, server=False) as farm:
        farm.start(*_ALONE)
        with farm.hold(JobKind.REBUILD, "file-0") as hold:
            farm.owe(*names("file", 6))
            farm.wait(lambda: hold.is_reached, "nothing is built")
            disk.fill()
        farm.wait(lambda: refusals(farm)[0], "the ledger took everything")
        counts = refusals(farm)[0]
        disk.clear()
        verify_whole(farm, say, f"SQLite's disk full, {counts} refusals", *_ALONE)


def _owe(farm: Farm, name: str) -> bool:
    try:
        farm.owe(name)
    except StorageFailure:
        return False
    return True


def refusals(farm: Farm, *words: str) -> tuple[int, ...]:
    """Count what each coordinator could not write, as its log has it in these words."""
    logs = [(farm.root / f"{name}.log") for name in COORDINATORS]
    texts = [path.read_text("utf-8", "replace") if path.exists() else "" for path in logs]
    return tuple(sum(text.count(each) for each in words or (_FULL, "disk is full")) for text in texts)
