"""Several machines: a cable is pulled and put back, a machine is killed, clocks differ; no work is lost or doubled."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rebuilder.attest.keys import Role
from rebuilder.build.engine import DockerEngine
from rebuilder.config import Settings
from rebuilder.errors import LeaseLost
from rebuilder.model.codec import parse
from rebuilder.model.dossier import Dossier
from rebuilder.model.job import CaseState, JobKind, JobState
from rebuilder.model.rebuild import Rebuild
from rebuilder.model.verdict import Verdict
from rebuilder.progress import Silent
from rebuilder.stages.tidying import sweep_first
from rebuilder.store.blobs import LocalBlobs
from rebuilder.store.conclusions import EventKind
from rebuilder.store.examine import examine
from tests.workers.hosts import hosts
from tests.workers.hosts_work import CENTRE, LEASE_S, OFFICE, Observed, SpreadFarm, spread_farm
from tests.workers.processes import Process, process, process_under
from workers.lease.client import HttpLeases, RemoteBlobs
from workers.lease.protocol import Claim

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root makes network namespaces"),
]
_AN_HOUR_AHEAD = ("faketime", "--exclude-monotonic", "-f", "+1h")


@pytest.fixture
def farm(tmp_path: Path, tiny_rootfs: Path, engine: DockerEngine) -> Iterator[SpreadFarm]:
    """Spread a farm over a centre, an office and two builders, all on this machine's engine; nothing of it stays."""
    servers = Path(tempfile.mkdtemp(prefix="rebuilder-hosts-"))
    servers.chmod(0o755)
    try:
        with (
            hosts(CENTRE, OFFICE, "builder-1", "builder-2") as made,
            spread_farm(tmp_path / "farm", made, tiny_rootfs, servers) as farm,
        ):
            yield farm
            state = farm.root / "builder-1"
            sweep_first(Settings(cache=state / "cache", state=state, results=farm.root / "results"), engine, Silent())
            engine.remove_image(farm.work.image)
    finally:
        shutil.rmtree(servers)


def test_a_builder_is_cut_off_and_healed_and_killed(farm: SpreadFarm, say: Callable[[str], None]) -> None:
    """Each time another builder finishes the job; what the first reports late is refused, and one result counts.

    Builder 1 asks for work by itself, builder 2 is woken through Redis, and its clock is an hour ahead. The blobs are
    in an object store.
    """
    with ExitStack() as stack:
        with farm.hosts.on("builder-1"):
            words = ("worker", "rebuild", "--tag", "amd64")
            first = stack.enter_context(process(farm.root / "builder-1", *words, **farm.worker_settings()))
        with farm.hosts.on("builder-2"):
            settings = farm.worker_settings() | farm.broker("rebuild")
            second = stack.enter_context(process_under(_AN_HOUR_AHEAD, farm.root / "builder-2", *words, **settings))
        stack.enter_context(farm.hosts.on(CENTRE))
        second.says("ready.")
        observed = farm.observe()
        _cut_and_heal(observed, first, say)
        _kill(observed, first, say)
        assert examine(observed.database).faults == ()
        observed.database.close()


@pytest.mark.slow
def test_a_woken_builder_hears_again_when_its_connections_are_gone(
    farm: SpreadFarm, say: Callable[[str], None]
) -> None:
    """Its cable was out for so long that the other side forgot its connections: it finds out, and is woken again."""
    with ExitStack() as stack:
        with farm.hosts.on("builder-2"):
            settings = farm.worker_settings() | farm.broker("rebuild")
            words = ("worker", "rebuild", "--tag", "amd64")
            second = stack.enter_context(process(farm.root / "builder-2", *words, **settings))
        stack.enter_context(farm.hosts.on(CENTRE))
        second.says("ready.")
        observed = farm.observe()
        observed.job_when(observed.owe("before", seconds=0), lambda job: job.state is JobState.DONE)
        farm.hosts.cut("builder-2")
        subprocess.run(["ss", "-K", "dst", farm.hosts.address("builder-2")], check=True, capture_output=True)
        farm.hosts.heal("builder-2")
        began = time.monotonic()
        observed.job_when(observed.owe("after", seconds=0), lambda job: job.state is JobState.DONE)
        say(f"heard again and done after {time.monotonic() - began:.0f} s")
        observed.database.close()


def _cut_and_heal(observed: Observed, first: Process, say: Callable[[str], None]) -> None:
    """Builder 1 is cut off while it builds, and comes back when builder 2 has the job."""
    farm = observed.farm
    observed.drain("builder-2")
    number = observed.owe("first", seconds=3)
    held = observed.held_by(number, "builder-1")
    first.says('"detail": "first 1.0-1 amd64')
    farm.hosts.cut("builder-1")
    observed.drain("builder-2", draining=False)
    expired = observed.expired(number)
    assert expired.message == f"the lease of worker {farm.keyid('builder-1')[:16]} expired"
    given = observed.held_by(number, "builder-2")
    assert given.fence > held.fence
    farm.hosts.heal("builder-1")
    _report_late(farm, number, held.fence)
    done = observed.job_when(number, lambda job: job.state is JobState.DONE)
    endings = [(lease.fence, lease.worker) for lease in observed.jobs.leases_of(number)]
    assert endings == [(1, farm.keyid("builder-1")), (2, farm.keyid("builder-2"))]
    assert done.fence == 2
    refused = observed.events(EventKind.LEASE_REFUSED, "builder-1")
    assert any(f"job {number}: expected a report under fence 2" in detail for detail in refused)
    built = _only_result(observed, "first")
    assert built.builder == farm.keyid("builder-2")
    ahead = built.started_at - datetime.now(UTC)
    assert timedelta(minutes=55) < ahead < timedelta(minutes=61)
    say(
        f"cut off: job {number} under fences {endings}, refused: {len(refused)}, built {ahead} ahead of the coordinator"
    )


def _report_late(farm: SpreadFarm, number: int, fence: int) -> None:
    """Report from builder 1's machine, with its key, what it would have reported."""
    claim = Claim(
        job=number,
        fence=fence,
        kind=JobKind.REBUILD,
        target="pkg:deb/debian/first@1.0-1",
        input=None,
        ordinal=0,
        attempt=1,
        expires_at=datetime.now(UTC),
        lease_s=LEASE_S,
    )
    with farm.hosts.on("builder-1"):
        wire = farm.wire("builder-1", Role.BUILDER)
        late = RemoteBlobs(wire, LocalBlobs(farm.root / "late")).put(b"a late result")
        leases = HttpLeases(wire)
        with pytest.raises(LeaseLost, match="under fence 2"):
            leases.report_done(claim, late)


def _kill(observed: Observed, first: Process, say: Callable[[str], None]) -> None:
    """Builder 1, which works again, is killed while it builds; builder 2 finishes the job."""
    farm = observed.farm
    observed.drain("builder-2")
    number = observed.owe("second", seconds=3)
    held = observed.held_by(number, "builder-1")
    first.says('"detail": "second 1.0-1 amd64')
    first.kill()
    observed.drain("builder-2", draining=False)
    observed.expired(number)
    given = observed.held_by(number, "builder-2")
    assert given.fence > held.fence
    assert _only_result(observed, "second").builder == farm.keyid("builder-2")
    say(f"killed: job {number} under fences {held.fence} and {given.fence}")


def _only_result(observed: Observed, name: str) -> Rebuild:
    """Wait for the end; return the run of the only result, which is signed and reproduced."""
    (directory,) = observed.published(name)
    dossier = parse((directory / "dossier.json").read_bytes(), Dossier)
    assert dossier.verdict is Verdict.REPRODUCED
    assert list(directory.glob("attestations/*/verdict.dsse.json"))
    (case,) = observed.cases.find(name=name)
    assert case.state is CaseState.CLOSED
    assert dossier.rebuild is not None
    return dossier.rebuild
