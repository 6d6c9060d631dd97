"""The engine that make starts is stopped again, and no other process ever is."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from rebuilder.doctor.engine import Answer, ask
from tools import daemon, engine
from tools.daemon import EngineError, Place


@pytest.fixture
def place() -> Iterator[Place]:
    """Give a place with a short path (a socket's has at most 107 bytes)."""
    root = Path(tempfile.mkdtemp(prefix="engine-"))
    yield daemon.below(root)
    shutil.rmtree(root, ignore_errors=True)


def _wait_for_words(pid: int) -> None:
    """Wait until the kernel tells a program's name and words; a moment after it has begun, they are not its own yet."""
    ends = time.monotonic() + 10
    while not Path(f"/proc/{pid}/cmdline").read_bytes():
        assert time.monotonic() < ends
        time.sleep(0.01)


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """Give a process of ours that stands for a daemon."""
    with subprocess.Popen(["sleep", "60"]) as process:
        _wait_for_words(process.pid)
        yield process
        process.kill()


def test_the_process_that_was_started_is_stopped(place: Place, sleeper: subprocess.Popen[bytes]) -> None:
    """The record names a living process with its start time: it is ended, and the record with it."""
    daemon.write_record(place, sleeper.pid)
    assert daemon.stop(place)
    assert sleeper.wait(timeout=5) < 0
    assert not place.record.exists()


def test_another_process_with_the_same_number_is_left_alone(place: Place, sleeper: subprocess.Popen[bytes]) -> None:
    """Process ids are used again: a start time that differs means a stranger, who lives on."""
    daemon.write_record(place, sleeper.pid)
    record = json.loads(place.record.read_text())
    place.record.write_text(json.dumps({**record, "ticks": record["ticks"] - 1}))
    assert not daemon.stop(place)
    assert sleeper.poll() is None


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"pid": "x"}', "\N{SNOWMAN}"])
def test_a_record_that_cannot_be_read_names_nobody(place: Place, text: str) -> None:
    """A torn or foreign record stops nothing."""
    place.record.write_text(text)
    assert not daemon.stop(place)


def test_the_engine_that_another_checkout_started_is_left_running(
    place: Place, sleeper: subprocess.Popen[bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The usual place is the machine's, and so is its record: `down` says who stops it, or does when that is gone."""
    daemon.write_record(place, sleeper.pid)
    other = tmp_path / "other"
    other.mkdir()
    place.record.write_text(json.dumps({**json.loads(place.record.read_text()), "checkout": str(other)}))
    assert engine.down(place) == 0
    assert f"left the one running that {other} started" in capsys.readouterr().out
    assert not daemon.stop(place)
    assert sleeper.poll() is None
    other.rmdir()
    assert engine.down(place) == 0
    assert sleeper.wait(timeout=5) < 0


def test_an_engine_that_answers_is_used_and_not_stopped(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """`down` without a record says that there is nothing to stop."""
    assert engine.down(place) == 0
    assert "nothing to stop" in capsys.readouterr().out


def test_a_chosen_engine_that_is_silent_is_not_replaced(place: Place) -> None:
    """Whoever set DOCKER_HOST gets an error, not another engine."""
    with pytest.raises(EngineError, match=r"DOCKER_HOST is unix:///no/such\.sock, and nothing answers there"):
        engine.up(place, ("unix:///no/such.sock",))


def test_without_root_the_commands_are_listed(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is installed or started for an ordinary user: the choices are written out."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(EngineError, match="sudo make engine") as caught:
        engine.up(place, (place.address,))
    assert "podman" in str(caught.value)


def test_stale_process_ids_are_forgotten(place: Place) -> None:
    """A process id that a killed containerd left, now another program's, would keep dockerd waiting: it is removed."""
    inner = place.run / "containerd" / "containerd.pid"
    inner.parent.mkdir(parents=True)
    inner.write_text(str(os.getpid()))
    daemon.forget_stale(place)
    assert not inner.exists()


def test_what_is_started_holds_none_of_our_files(place: Place) -> None:
    """A lock that flock(1) has open while we run is free when we end, whatever we leave running."""
    with (place.state / "lock").open("w") as lock:
        os.set_inheritable(lock.fileno(), True)  # noqa: FBT003
        pid = daemon._spawn([shutil.which("sleep") or "", "60"], place.log)
        try:
            held = {path.resolve() for path in Path(f"/proc/{pid}/fd").iterdir()}
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    assert place.log.resolve() in held
    assert (place.state / "lock").resolve() not in held


@pytest.mark.engine
@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts an engine")
def test_an_engine_of_its_own_starts_and_stops(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """`up` starts a dockerd that answers, a second `up` uses it, `down` stops it with its containerd."""
    root = str(place.state)
    assert engine.main(["up", "--root", root]) == 0
    try:
        answer = ask(place.address)
        assert isinstance(answer, Answer)
        assert answer.address == place.address
        assert engine.main(["up", "--root", root]) == 0
        assert "starting dockerd" in capsys.readouterr().out
    finally:
        assert engine.main(["down", "--root", root]) == 0
    assert engine.main(["status", "--root", root]) == 4
    assert daemon.read_record(place) is None


@pytest.mark.parametrize(
    ("words", "is_refused"),
    [((), True), (("--data-root", "/elsewhere"), False), (("--data-root=/elsewhere",), False)],
    ids=["usual-place", "two-words", "one-word"],
)
def test_only_an_engine_with_the_same_place_is_in_the_way(
    *, words: tuple[str, ...], is_refused: bool, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A farm's services have an engine of their own, which runs on while the usual one is started again."""
    with subprocess.Popen([sys.executable, "-c", "input()", *words], stdin=subprocess.PIPE) as other:
        monkeypatch.setattr(daemon, "running", lambda _: [other.pid])
        _wait_for_words(other.pid)
        usual = replace(place, data=None)
        if is_refused:
            with pytest.raises(EngineError, match=f"process {other.pid}"):
                daemon._refuse_second(usual)
        else:
            daemon._refuse_second(usual)
        daemon._refuse_second(place)
        other.communicate(b"\n")


def test_a_process_that_has_ended_does_not_run(sleeper: subprocess.Popen[bytes]) -> None:
    """Between its end and the moment when its parent asks how it ended, the kernel still lists it by its name."""
    assert sleeper.pid in daemon.running("sleep")
    sleeper.kill()
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    assert Path(f"/proc/{sleeper.pid}/comm").read_text().strip() == "sleep"
    assert sleeper.pid not in daemon.running("sleep")
