"""The engine is stopped while a real build runs in it."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from functools import cache
from pathlib import Path

import pytest
import sqlalchemy as sa

from rebuilder.build.engine import DockerEngine
from rebuilder.model.cause import Cause
from rebuilder.model.digest import Digest
from rebuilder.model.job import JobKind
from rebuilder.progress import Silent
from rebuilder.stages.tidying import sweep_first
from rebuilder.store import farm_tables
from tests.workers.faults.gate import Gate, gate
from tests.workers.faults.outcome import Left, outcome_of
from tests.workers.hosts_work import Work
from tests.workers.office import Office
from workers.coordinator.reconcile import sweep
from workers.lease.desk import nobody_to_wake
from workers.lease.protocol import Claim
from workers.roles.builder import rebuild
from workers.roles.place import Place

_BUILD_S, _STOPPED_S = 4, 6

pytestmark = pytest.mark.engine


@pytest.fixture
def stopped() -> Iterator[Gate]:
    """Stand before the machine's engine."""
    address = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    assert address.startswith("unix://"), address
    with tempfile.TemporaryDirectory() as name, gate(Path(name) / "socket", Path(address[7:])) as made:
        yield made


def test_the_engine_stops_in_the_middle_of_a_build(
    tmp_path: Path, tiny_rootfs: Path, engine: DockerEngine, stopped: Gate, say: Callable[[str], None]
) -> None:
    """Connections break while the build sleeps: infrastructure's fault, tried again, and done when it is back.

    A gate before the engine's socket is shut, for the engine itself is also others'. The container that was left goes.
    """
    office, work = Office(tmp_path), Work(tiny_rootfs)

    def plan(claim: Claim, place: Place) -> Digest:
        rootfs = place.store.put_file(tiny_rootfs)
        return place.write(work.report(claim.target, "struck", rootfs, seconds=_BUILD_S))

    office.teach("planner", plan)
    gated = cache(lambda: DockerEngine(stopped.address))
    post = office.posts["builder-1"]
    office.posts["builder-1"] = replace(post, step=rebuild, place=replace(post.place, engine=gated))
    del office.posts["builder-2"]
    office.owe("struck")
    threading.Thread(target=_stop_in_the_middle, args=(stopped,), daemon=True).start()
    try:
        _work_twice(office, stopped)
    finally:
        sweep_first(office.settings, engine, Silent())
        engine.remove_image(work.image)
    with office.database.read() as connection:
        leases = farm_tables.leases.join(farm_tables.jobs, farm_tables.leases.c.job == farm_tables.jobs.c.id)
        query = sa.select(farm_tables.leases.c.ending).select_from(leases).order_by(farm_tables.leases.c.fence)
        endings = list(connection.scalars(query.where(farm_tables.jobs.c.kind == JobKind.REBUILD)))
    found = outcome_of(Left.by(office))
    say(f"the engine stopped in a build, which ended {endings}: {found}")
    assert endings == [f"failed: {Cause.INFRASTRUCTURE}", "done"]
    assert found.is_whole


def _work_twice(office: Office, stopped: Gate) -> None:
    """Have a process work until the engine stops, and go on when it is back; it ends, and so what it left is nobody's.

    The ledger's connections are closed first, so that none is in two processes.
    """
    office.database.close()
    child = os.fork()
    if child == 0:
        try:
            office.work()
            while not stopped.path.exists():
                time.sleep(0.1)
            office.ahead += timedelta(minutes=5)
            sweep(office.coordinator.desk, office.settings.farm, nobody_to_wake)
            office.work_to_the_end()
        finally:
            os._exit(0)
    os.waitpid(child, 0)


def _stop_in_the_middle(stopped: Gate) -> None:
    """Shut the gate for a while when the container that was started last does its work."""
    while not stopped.last_start or time.monotonic() - stopped.last_start < _BUILD_S / 3:
        time.sleep(0.1)
    stopped.shut()
    time.sleep(_STOPPED_S)
    stopped.open()
