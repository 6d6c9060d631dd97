"""Whatever dies, whoever interferes: nothing half-written, nothing left behind, a clear word."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import docker
import docker.errors
import pytest
from docker.models.containers import Container
from docker.models.volumes import Volume

from tests.end_to_end.conftest import MakePerson
from tests.end_to_end.person import Person
from tests.end_to_end.proxy import EngineProxy

_PATIENCE_S = 120


@pytest.fixture
def engine() -> Iterator[docker.DockerClient]:
    """Give an own look at the engine."""
    client = docker.from_env()
    yield client
    client.close()


def _of(engine: docker.DockerClient, pid: int) -> tuple[list[Container], list[Volume]]:
    """Containers and volumes that a process made."""
    wanted: dict[str, str | list[str] | bool] = {"label": f"rebuilder.pid={pid}"}
    return engine.containers.list(all=True, filters=wanted), engine.volumes.list(filters=wanted)


def _eventually(holds: Callable[[], bool], process: subprocess.Popen[str] | None = None) -> None:
    end = time.monotonic() + _PATIENCE_S
    while not holds():
        assert process is None or process.poll() is None, process.communicate()
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.1)


def _asleep(engine: docker.DockerClient, process: subprocess.Popen[str]) -> bool:
    """Whether a build of that process has come to `sleep 600`; a container that ends while we look is not asleep."""
    with suppress(docker.errors.APIError):
        return any("sleep 600" in str(container.top()) for container in _of(engine, process.pid)[0])
    return False


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_build_leaves_nothing(
    person: Person, engine: docker.DockerClient, number: signal.Signals, code: int
) -> None:
    """Ctrl-C, or an orderly request to end, in the middle of a build: no container, volume or half result stays."""
    with person.start("verify", "deb:trixie/sleepy") as process:
        _eventually(lambda: _asleep(engine, process), process)
        process.send_signal(number)
        out, err = process.communicate(timeout=_PATIENCE_S)
    assert process.returncode == code, err
    assert "Traceback" not in out + err
    assert "nothing half-done was published" in err
    assert _of(engine, process.pid) == ([], [])
    assert not [path for path in person.results.rglob("*") if path.is_file()]
    assert not list(person.settings.state.glob("attest-*"))


@pytest.mark.slow
def test_an_interrupt_at_any_time_leaves_all_or_nothing(person: Person, engine: docker.DockerClient) -> None:
    """From the first moment to the last: 130, or 0 where it came too late; a result is there whole, or not at all."""
    delay_s = 0.6
    codes: list[int] = []
    while not codes or (codes[-1] == 130 and delay_s < _PATIENCE_S):
        with person.start("verify", "--quiet", "deb:trixie/rebuilt") as process:
            with suppress(subprocess.TimeoutExpired):
                process.wait(delay_s)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=_PATIENCE_S)
        codes.append(process.returncode)
        assert process.returncode in {0, 130}, f"after {delay_s} s: {err}"
        assert "Traceback" not in out + err, f"after {delay_s} s: {err}"
        _eventually(lambda: _of(engine, process.pid) == ([], []))
        for directory in {path.parent for path in person.results.rglob("dossier.json")}:
            assert person.check(directory).code == 0, f"after {delay_s} s"
        delay_s += 0.4
    assert codes[0] == 130
    assert codes[-1] == 0


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_ends_while_it_publishes_leaves_all_or_nothing(person: Person, number: signal.Signals) -> None:
    """Killed at moments of signing and publishing: each result that is there is whole, and the next run completes."""
    for step in range(8):
        with person.start("verify", "deb:trixie/rebuilt") as process:
            assert process.stderr is not None
            for line in process.stderr:
                if "signing and publishing" in line:
                    break
            time.sleep(step * 0.25)
            process.send_signal(number)
            process.communicate(timeout=_PATIENCE_S)
        for directory in {path.parent for path in person.results.rglob("dossier.json")}:
            assert person.check(directory).code == 0, f"{number.name} after {step} steps"
    said = person.verify("deb:trixie/rebuilt")
    said.concludes("reproduced", 0)
    assert person.check(said.result).code == 0
    assert said.result.name in (said.result.parent / "latest.json").read_text()
    assert person.run("sweep").code == 0


def test_a_sweep_removes_what_a_killed_run_left(person: Person, engine: docker.DockerClient) -> None:
    """Kill -9 leaves a running container and volumes; the sweep takes them, and the next run is not disturbed."""
    with person.start("verify", "deb:trixie/sleepy") as process:
        _eventually(lambda: _asleep(engine, process), process)
        process.kill()
        process.communicate(timeout=_PATIENCE_S)
    containers, volumes = _of(engine, process.pid)
    assert containers
    assert volumes
    assert person.run("sweep").code == 0
    assert _of(engine, process.pid) == ([], [])
    assert not list(person.results.rglob("dossier.json"))
    person.verify("deb:trixie/rebuilt").concludes("reproduced", 0)


def test_without_an_engine_the_answer_is_a_hint(person: Person) -> None:
    """No engine: undecided for want of infrastructure, exit code 4, with what to do."""
    with person.start("verify", "--json", "deb:trixie/rebuilt", environment={"DOCKER_HOST": "unix:///nowhere"}) as run:
        out, err = run.communicate(timeout=_PATIENCE_S)
    assert run.returncode == 4, err
    assert "Traceback" not in err
    answer = json.loads(out)
    assert (answer["verdict"], answer["causes"]) == ("undecided", ["infrastructure"])
    assert "doctor" in answer["hint"] or "DOCKER_HOST" in answer["hint"]


def test_an_engine_that_dies_during_a_build_is_no_verdict(
    person: Person, engine: docker.DockerClient, tmp_path: Path
) -> None:
    """The engine goes away in the middle: undecided for want of infrastructure, attested, exit code 4; then a sweep."""
    address = os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
    with EngineProxy(tmp_path / "engine.sock", Path(address.removeprefix("unix://"))) as proxy:
        environment = {"DOCKER_HOST": proxy.address}
        with person.start("verify", "--json", "deb:trixie/sleepy", environment=environment) as process:
            _eventually(lambda: _asleep(engine, process), process)
            proxy.cut()
            out, err = process.communicate(timeout=_PATIENCE_S)
    assert process.returncode == 4, err
    assert "Traceback" not in err
    answer = json.loads(out)
    assert (answer["verdict"], answer["causes"]) == ("undecided", ["infrastructure"])
    assert answer["hint"]
    assert person.check(Path(answer["documents"][0])).code == 4
    assert person.run("sweep").code == 0
    assert _of(engine, process.pid) == ([], [])


def test_a_full_disk_is_named_and_nothing_half_stays(person: Person) -> None:
    """The results are on a disk that has no room: exit code 4, a word about it, no document without its others."""
    person.results.mkdir()
    script = 'mount -t tmpfs -o size=96k tmpfs results && "$@"; code=$?; find results -type f >left; exit $code'
    rebuilder = Path(sys.executable).parent / "rebuilder"
    words = (rebuilder, "verify", "--json", "deb:trixie/rebuilt", "--config", person.config)
    finished = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh", *words],
        cwd=person.home,
        capture_output=True,
        text=True,
        timeout=_PATIENCE_S,
        check=False,
    )
    assert finished.returncode == 4, finished.stderr
    assert "Traceback" not in finished.stderr
    assert "space" in json.loads(finished.stdout)["error"]
    assert "dossier.json" not in (person.home / "left").read_text()


def test_results_that_cannot_be_written_are_named(person: Person) -> None:
    """A file in the place of the results directory: a clear error, exit code 4, nothing else harmed."""
    person.results.write_text("in the way")
    said = person.verify("deb:trixie/rebuilt")
    assert said.code == 4
    assert str(person.results) in said.answer["error"]
    assert person.results.read_text() == "in the way"


def test_two_verifications_at_once_are_two_results(make_person: MakePerson) -> None:
    """The same release, the same directories, at the same moment: both end well, with ordinals of their own."""
    person = make_person()
    words = ("verify", "--json", "deb:trixie/rebuilt")
    answers = []
    with person.start(*words) as one, person.start(*words) as other:
        for run in (one, other):
            out, err = run.communicate(timeout=2 * _PATIENCE_S)
            assert run.returncode == 0, err
            answers.append(json.loads(out))
    results = [Path(directory) for answer in answers for directory in answer["documents"]]
    assert {path.name.rpartition("-")[2] for path in results} == {"0", "1"}
    assert len({path.name.rpartition("-")[0] for path in results}) == 1
    index = json.loads((person.results / "index.json").read_bytes())
    assert all(path.name in json.dumps(index) for path in results) or len(index["results"]) == 1
    for path in results:
        assert person.check(path).code == 0
