"""The engine is stopped while a real build runs in it: its socket, and an engine of the test's own as a whole."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Protocol

import pytest
import sqlalchemy as sa

from rebuilder.build.engine import DockerEngine
from rebuilder.doctor.engine import Answer, ask
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
from tools import daemon
from workers.coordinator.reconcile import sweep
from workers.lease.desk import nobody_to_wake
from workers.lease.protocol import Claim
from workers.roles.builder import rebuild
from workers.roles.place import Place

_BUILD_S, _STOPPED_S = 4, 6

pytestmark = pytest.mark.engine


class Stop(Protocol):
    """Takes an engine away, and brings it back."""

    def shut(self) -> None:
        """Take it away."""

    def open(self) -> None:
        """Bring it back."""


@dataclass(frozen=True, kw_only=True)
class OwnEngine:
    """A dockerd that a test started, and may stop."""

    place: daemon.Place
    kill: bool
    """Whether it ends as in a crash, its containers left to themselves."""

    def shut(self) -> None:
        """End it."""
        started = daemon.read_record(self.place)
        assert started is not None
        if self.kill:
            os.kill(started.pid, signal.SIGKILL)
        else:
            daemon.stop(self.place)

    def open(self) -> None:
        """Start it again."""
        daemon.start(self.place)


def test_the_engine_stops_in_the_middle_of_a_build(
    tmp_path: Path, tiny_rootfs: Path, engine: DockerEngine, say: Callable[[str], None]
) -> None:
    """Connections break while the build sleeps: infrastructure's fault, tried again, and done when it is back.

    A gate before the engine's socket is shut, for the engine itself is also others'. The container that was left goes.
    """
    address = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    assert address.startswith("unix://"), address
    work = Work(tiny_rootfs)
    with tempfile.TemporaryDirectory() as name, gate(Path(name) / "socket", Path(address[7:])) as before:
        office = office_with(before, work, tmp_path)
        try:
            stopped_in_a_build(office, before, before)
        finally:
            sweep_first(office.settings, engine, Silent())
            engine.remove_image(work.image)
    verify_tried_again(office, "the engine's socket was shut", say)


@pytest.fixture
def place() -> Iterator[daemon.Place]:
    """Run an engine of the test's own, with a short path; nothing of it stays."""
    if os.geteuid() != 0 or shutil.which("dockerd") is None:
        pytest.skip("only root can start an engine, where there is a dockerd")
    root = Path(tempfile.mkdtemp(prefix="engine-"))
    made = daemon.below(root)
    daemon.start(made)
    try:
        yield made
    finally:
        daemon.stop(made)
        unmount(root)  # what one that was killed had mounted
        shutil.rmtree(root)


def unmount(root: Path) -> None:
    """Take off every file system below a directory, the innermost first."""
    mounted = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for each in sorted((each for each in mounted if each.startswith(f"{root}/")), reverse=True):
        subprocess.run(["umount", "--lazy", each], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("kill", [False, True], ids=["stopped", "killed"])
def test_a_whole_engine_ends_in_the_middle_of_a_build(
    tmp_path: Path,
    tiny_rootfs: Path,
    place: daemon.Place,
    kill: bool,  # noqa: FBT001 - a case
    say: Callable[[str], None],
) -> None:
    """SIGTERM to a real dockerd, which ends its containers, or SIGKILL, which leaves them: the same.

    A gate before it tells when the build has begun, and passes everything on.
    """
    with gate(place.state / "gate", place.socket) as before:
        office = office_with(before, Work(tiny_rootfs), tmp_path)
        stopped_in_a_build(office, before, OwnEngine(place=place, kill=kill))
        left = DockerEngine(place.address)
        sweep_first(office.settings, left, Silent())
    verify_tried_again(office, f"dockerd was {'killed' if kill else 'stopped'}", say)


def office_with(before: Gate, work: Work, root: Path) -> Office:
    """Have an office whose only builder builds for real, in the engine behind a gate."""
    office = Office(root)

    def plan(claim: Claim, place: Place) -> Digest:
        return place.write(work.report(claim.target, "struck", place.store.put_file(work.rootfs), seconds=_BUILD_S))

    office.teach("planner", plan)
    gated = cache(lambda: DockerEngine(before.address))
    post = office.posts["builder-1"]
    office.posts["builder-1"] = replace(post, step=rebuild, place=replace(post.place, engine=gated))
    del office.posts["builder-2"]
    office.owe("struck")
    return office


def stopped_in_a_build(office: Office, before: Gate, engine: Stop) -> None:
    """Have the engine end when a build has begun, and come back; and all be done that is owed."""
    thread = threading.Thread(target=_stop_in_the_middle, args=(before, engine), daemon=True)
    thread.start()
    _work_twice(office, before)
    thread.join()


def verify_tried_again(office: Office, fault: str, say: Callable[[str], None]) -> None:
    """The build failed once for infrastructure, and then it was done; every count must be right."""
    with office.database.read() as connection:
        leases = farm_tables.leases.join(farm_tables.jobs, farm_tables.leases.c.job == farm_tables.jobs.c.id)
        query = sa.select(farm_tables.leases.c.ending).select_from(leases).order_by(farm_tables.leases.c.fence)
        endings = list(connection.scalars(query.where(farm_tables.jobs.c.kind == JobKind.REBUILD)))
    found = outcome_of(Left.by(office))
    say(f"{fault} in a build, which ended {endings}: {found}")
    assert endings == [f"failed: {Cause.INFRASTRUCTURE}", "done"]
    assert found.is_whole


def _work_twice(office: Office, before: Gate) -> None:
    """Have a process work until the engine stops, and go on when it is back; it ends, and so what it left is nobody's.

    The ledger's connections are closed first, so that none is in two processes.
    """
    office.database.close()
    child = os.fork()
    if child == 0:
        try:
            office.work()
            while not isinstance(ask(before.address), Answer):
                time.sleep(0.1)
            office.ahead += timedelta(minutes=5)
            sweep(office.coordinator.desk, office.settings.farm, nobody_to_wake)
            office.work_to_the_end()
        finally:
            os._exit(0)
    os.waitpid(child, 0)


def _stop_in_the_middle(before: Gate, engine: Stop) -> None:
    """Take the engine away for a while when the container that was started last does its work."""
    while not before.last_start or time.monotonic() - before.last_start < _BUILD_S / 3:
        time.sleep(0.1)
    engine.shut()
    time.sleep(_STOPPED_S)
    engine.open()
