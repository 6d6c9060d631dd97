"""What a killed run left is removed; what a living one owns is not."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from rebuilder.build.cache import PreparedIndex
from rebuilder.build.container import Spec
from rebuilder.build.engine import DockerContainer, DockerEngine
from rebuilder.build.owner import Owner
from rebuilder.build.sweep import is_abandoned, sweep, sweep_scratch
from rebuilder.errors import EngineFailure
from rebuilder.model.digest import Digest
from rebuilder.world import scratch

_DAY = timedelta(days=1)
_VICTIM = """\
import sys
from pathlib import Path
from rebuilder.build.cache import PreparedIndex
from rebuilder.build.engine import DockerEngine
from rebuilder.build.prepare import prepare
from rebuilder.build.run import Runner, Ticket
from rebuilder.errors import EngineFailure
from rebuilder.model.digest import Digest
from rebuilder.store.blobs import LocalBlobs
from tests.build.factory import package, plan, repository, with_packages
root = Path(sys.argv[2])
engine = DockerEngine()
print(engine.owner.run, flush=True)
wanted = with_packages(plan(Digest.parse(sys.argv[1]), "sleep 600"), package("a"))
with prepare(engine, PreparedIndex(root / "prepared", engine), wanted.environment, repository, fresh=True) as prepared:
    print(prepared.image, flush=True)
    Runner(engine=engine, blobs=LocalBlobs(root)).run(wanted, prepared, {}, Ticket(builder="key"))
"""


@dataclass(frozen=True, kw_only=True)
class Victim:
    """A process that is in the middle of a build."""

    process: subprocess.Popen[str]
    run: str
    image: Digest


@pytest.fixture
def victim(engine: DockerEngine, tiny: Digest, tmp_path: Path) -> Iterator[Victim]:
    """Start a process and wait until its build runs."""
    with (
        (tmp_path / "errors").open("wb") as errors,
        subprocess.Popen(
            [sys.executable, "-c", _VICTIM, str(tiny), str(tmp_path)], stdout=subprocess.PIPE, stderr=errors, text=True
        ) as process,
    ):
        try:
            assert process.stdout is not None
            run, image = process.stdout.readline().strip(), process.stdout.readline().strip()
            _wait_until_a_build_runs(engine, run)
            yield Victim(process=process, run=run, image=Digest.parse(image))
        finally:
            process.kill()


@pytest.mark.engine
def test_a_killed_run_is_swept(engine: DockerEngine, tiny: Digest, index: PreparedIndex, victim: Victim) -> None:
    """SIGKILL in the middle of a build: its container, its volumes and its half image go, a living run's stay."""
    with engine.container(Spec(image=tiny, command=("sleep", "600"))) as mine:
        output = mine.start()
        sweep(engine, index)
        assert len(_left(engine, victim.run, "volume")) == 3
        victim.process.kill()
        victim.process.wait()
        assert len(_left(engine, victim.run, "volume")) == 3
        swept = sweep(engine, index)
        assert swept.containers >= 1
        assert swept.volumes >= 3
        assert swept.images >= 1
        assert _left(engine, victim.run, "container") == _left(engine, victim.run, "volume") == []
        assert engine.image(victim.image) is None
        assert mine.state().running
        mine.kill()
        assert list(output) == []


@pytest.mark.engine
def test_a_persons_container_of_our_image_is_left_alone(
    engine: DockerEngine, index: PreparedIndex, tiny: Digest
) -> None:
    """It inherits the labels of an image that a dead run made, but it is not that run's."""
    dead = replace(Owner.here("dead"), started=1)
    with DockerEngine(owner=dead).container(Spec(image=tiny, command=("true",))) as container:
        image = container.commit({}, tag="rebuilder/persons:test")
    made = engine._api.create_container(str(image), ["sleep", "60"])["Id"]
    try:
        sweep(engine, index)
        assert engine._api.inspect_container(made)["Config"]["Labels"]["rebuilder.run"] == "dead"
    finally:
        engine._api.remove_container(made, force=True)
        engine.remove_image(image)


@pytest.mark.engine
def test_an_interrupted_run_cleans_up_by_itself(engine: DockerEngine, victim: Victim) -> None:
    """Ctrl-C in the middle of a build leaves nothing, without any sweep."""
    victim.process.send_signal(signal.SIGINT)
    victim.process.wait(30)
    assert _left(engine, victim.run, "container") == _left(engine, victim.run, "volume") == []
    assert engine.image(victim.image) is None


def test_this_process_is_alive_and_labels_say_whose_it_is() -> None:
    """Labels name the owner completely; without one of them there is no owner to judge."""
    owner = Owner.here()
    labels = owner.labels()
    assert labels["rebuilder"] == "1"
    assert Owner.of(labels) == owner
    assert owner.is_alive() is True
    assert not is_abandoned(labels, _DAY)
    for key in labels:
        if key != "rebuilder":
            assert Owner.of({name: value for name, value in labels.items() if name != key}) is None
    assert Owner.of({**labels, "rebuilder.pid": "many"}) is None
    assert not is_abandoned({"rebuilder": "1"}, _DAY)


def test_a_process_id_used_again_is_another_process() -> None:
    """Another start time or another boot means that the owner is dead."""
    owner = Owner.here()
    assert replace(owner, started=owner.started + 1).is_alive() is False
    assert replace(owner, boot="another").is_alive() is False
    ended = subprocess.Popen(["true"])
    ended.wait()
    assert replace(owner, pid=ended.pid).is_alive() is False


def test_another_machines_things_are_left_alone_until_they_are_old() -> None:
    """What cannot be judged from here is removed only when no build may be that old."""
    owner = Owner.here()
    for stranger in (replace(owner, host="elsewhere"), replace(owner, space="pid:[1]")):
        assert stranger.is_alive() is None
        assert not is_abandoned(stranger.labels(), _DAY)
        assert is_abandoned(replace(stranger, made=owner.made - 100_000).labels(), _DAY)


def _left(engine: DockerEngine, run: str, kind: str) -> list[str]:
    return [item.name for item in engine.leftovers() if item.kind == kind and item.labels.get("rebuilder.run") == run]


def _wait_until_a_build_runs(engine: DockerEngine, run: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for name in _left(engine, run, "container"):
            with suppress(EngineFailure):
                if DockerContainer(engine, name).state().running:
                    return
        time.sleep(0.2)
    pytest.fail("no build runs")


def test_a_dead_process_directories_go_and_a_living_ones_stay(tmp_path: Path) -> None:
    """Young directories of a killed process are removed; ours, however old, and those of unknown owners are not."""
    code = "from rebuilder.world.scratch import prefix; print(prefix('run'))"
    dead = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    rebooted = re.sub(r"\.[0-9a-f]{8}-$", ".00000000-", scratch.prefix("run"))
    elsewhere = re.sub(r"\.\d+(\.[0-9a-f]{8}-)$", r".1\1", scratch.prefix("run"))
    kept = [f"{scratch.prefix('apt')}aaaa", "rebuilder-old-style", f"{elsewhere}bbbb", "other"]
    gone = [f"{dead}cccc", f"{rebooted}dddd"]
    for name in (*kept, *gone):
        (tmp_path / name / "inside").mkdir(parents=True)
    os.utime(tmp_path / kept[0], (0, 0))
    assert sweep_scratch(tmp_path, _DAY) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(kept)


def test_a_directory_of_nobody_we_know_goes_when_it_is_old(tmp_path: Path) -> None:
    """A name without its process is judged by age, and a link is never followed."""
    (tmp_path / "precious").mkdir()
    (tmp_path / "rebuilder-old-style").mkdir()
    (tmp_path / "rebuilder-link").symlink_to(tmp_path / "precious")
    os.utime(tmp_path / "rebuilder-old-style", (0, 0))
    assert sweep_scratch(tmp_path, _DAY) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["precious", "rebuilder-link"]
