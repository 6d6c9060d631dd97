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

from rebuilder.build.engine import DockerEngine
from rebuilder.model.cause import Cause
from rebuilder.model.digest import Digest
from rebuilder.model.job import JobKind, JobState
from rebuilder.progress import Silent
from rebuilder.stages.tidying import sweep_first
from rebuilder.store.jobs import Selection
from tests.workers.faults.gate import Gate, gate
from tests.workers.faults.outcome import Left, outcome_of
from tests.workers.hosts_work import Work
from tests.workers.office import Office
from workers.coordinator.reconcile import sweep
from workers.lease.desk import nobody_to_wake
from workers.lease.protocol import Claim
from workers.roles.builder import rebuild
from workers.roles.place import Place

_BUILD_S = 4

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
    threading.Thread(target=_shut_in_the_middle, args=(stopped,), daemon=True).start()
    try:
        office.work()
        (job,) = office.coordinator.bureau.jobs.find(Selection(kind=JobKind.REBUILD))
        assert (job.state, job.cause) == (JobState.WAITING, Cause.INFRASTRUCTURE), job
        stopped.open()
        office.ahead += timedelta(minutes=5)
        sweep(office.coordinator.desk, office.settings.farm, nobody_to_wake)
        office.work_to_the_end()
    finally:
        sweep_first(office.settings, engine, Silent())
        engine.remove_image(work.image)
    found = outcome_of(Left.by(office))
    say(f"the engine stopped in a build: {job.message!r}; then {found}")
    assert found.is_whole


def _shut_in_the_middle(stopped: Gate) -> None:
    """Shut the gate while the container that was started last does its work."""
    while not stopped.last_start or time.monotonic() - stopped.last_start < _BUILD_S / 3:
        time.sleep(0.1)
    stopped.shut()
