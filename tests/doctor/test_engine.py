"""An engine is asked over its own API, and every other thing that may be at an address is told apart."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingMixIn, UnixStreamServer
from typing import Any

import pytest

from rebuilder.doctor.engine import Answer, Silence, ask, examine_engine, first_answer, local_data
from rebuilder.doctor.finding import Condition

VERSION = {"Version": "20.10.24", "ApiVersion": "1.41", "Components": [{"Name": "Engine"}]}
INFO = {
    "Driver": "overlay2",
    "CgroupVersion": "2",
    "InitBinary": "docker-init",
    "DockerRootDir": "/var/lib/docker",
    "Plugins": {"Network": ["bridge", "null"]},
    "MemoryLimit": True,
    "PidsLimit": True,
    "CpuCfsQuota": True,
}


class Server(ThreadingMixIn, UnixStreamServer):
    """An HTTP server on a socket in the file system."""

    daemon_threads = True


@contextmanager
def engine(path: Path, answers: dict[str, bytes]) -> Iterator[str]:
    """Serve these bodies, and 404 for all else, at a socket; give its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = answers.get(self.path)
            self.send_response(200 if body is not None else 404)
            self.end_headers()
            self.wfile.write(body or b"")

        def address_string(self) -> str:
            return "local"

        def log_message(self, *_args: object) -> None:
            pass

    with Server(str(path), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"unix://{path}"
        finally:
            server.shutdown()
            thread.join()


def bodies(version: dict[str, Any] | None = None, info: dict[str, Any] | None = None) -> dict[str, bytes]:
    """Make what an engine answers, with changes."""
    return {
        "/version": json.dumps({**VERSION, **(version or {})}).encode(),
        "/info": json.dumps({**INFO, **(info or {})}).encode(),
    }


def conditions(address: str) -> dict[str, Condition]:
    """How each finding about an engine stands."""
    return {finding.name: finding.condition for finding in examine_engine(address)[1]}


def test_an_engine_says_what_it_is(tmp_path: Path) -> None:
    """Name, version, control groups, storage, init and the place of its data come from its own answers."""
    with engine(tmp_path / "s", bodies()) as address:
        answer = ask(address)
        assert isinstance(answer, Answer)
        assert (answer.name, answer.version, answer.api, answer.cgroup) == ("Docker", "20.10.24", "1.41", "2")
        assert (answer.storage, answer.init, answer.unenforced) == ("overlay2", "docker-init", ())
        assert local_data(answer) == Path("/var/lib/docker")
        assert set(conditions(address).values()) == {Condition.OK}


def test_podman_is_known_by_its_component(tmp_path: Path) -> None:
    """Podman's compatible socket is named as what it is, and need not list a `null` network."""
    answers = bodies({"Components": [{"Name": "Podman Engine"}]}, {"Plugins": {"Network": ["bridge"]}})
    with engine(tmp_path / "s", answers) as address:
        answer = ask(address)
        assert isinstance(answer, Answer)
        assert answer.name == "Podman"
        assert conditions(address)["engine: no network"] is Condition.OK


@pytest.mark.parametrize(
    ("info", "name", "condition"),
    [
        ({"Driver": "vfs"}, "engine", Condition.WARN),
        ({"InitBinary": ""}, "engine: init", Condition.WARN),
        ({"PidsLimit": False}, "engine: limits", Condition.WARN),
        ({"Plugins": {"Network": ["bridge"]}}, "engine: no network", Condition.MISSING),
    ],
)
def test_what_an_engine_lacks_is_a_finding(
    tmp_path: Path, info: dict[str, Any], name: str, condition: Condition
) -> None:
    """A slow storage driver, no init, a limit that cannot be enforced, no way to be without network: each is named."""
    with engine(tmp_path / "s", bodies(info=info)) as address:
        found = {finding.name: finding for finding in examine_engine(address)[1]}
    assert found[name].condition is condition
    assert found[name].remedy


@pytest.mark.parametrize(
    ("info", "remedy"),
    [
        ({"CgroupVersion": "1", "CgroupDriver": "cgroupfs"}, "cgroup v2"),
        ({"CgroupVersion": "2", "CgroupDriver": "cgroupfs"}, "systemd as cgroup manager"),
        ({"CgroupVersion": "2", "CgroupDriver": "systemd", "CpuCfsQuota": False}, "delegates"),
    ],
)
def test_an_engine_without_root_owns_up_to_limits_that_it_drops(
    tmp_path: Path, info: dict[str, Any], remedy: str
) -> None:
    """Its flags tell of the kernel; what counts is whether a control group is its own. The remedy fits the reason."""
    with engine(tmp_path / "s", bodies(info={"SecurityOptions": ["name=rootless"], **info})) as address:
        found = {finding.name: finding for finding in examine_engine(address)[1]}
    assert "without root" in found["engine"].found
    limits = found["engine: limits"]
    assert limits.condition is Condition.WARN
    assert limits.found.startswith("not enforced: ")
    assert "processor time" in limits.found
    assert limits.remedy is not None
    assert remedy in limits.remedy


@pytest.mark.parametrize(
    "answers",
    [
        {},
        {"/version": b"<html>"},
        {"/version": b"[]", "/info": b"[]"},
        {"/version": b"{}", "/info": b"{}"},
        {"/version": b"[" * 100_000, "/info": b"{}"},
        {"/version": b'{"Components": [3]}', "/info": b"{}"},
    ],
    ids=["404", "page", "lists", "empty", "deep", "odd"],
)
def test_a_stranger_at_the_address_is_no_engine(tmp_path: Path, answers: dict[str, bytes]) -> None:
    """Whatever else listens there and whatever it answers, the finding says that it is no engine."""
    with engine(tmp_path / "s", answers) as address:
        silence = ask(address)
    assert isinstance(silence, Silence)
    assert silence.reason == "what listens there is no container engine"


def test_nothing_there_is_told_from_nobody_listening(tmp_path: Path) -> None:
    """No socket, and a socket that a dead engine left, are different reasons, both with a way out."""
    dead = tmp_path / "dead"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(dead))
    absent, refused = ask(f"unix://{tmp_path}/absent"), ask(f"unix://{dead}")
    assert isinstance(absent, Silence)
    assert isinstance(refused, Silence)
    assert (absent.reason, refused.reason) == ("no such socket", "nothing listens there")
    assert "make engine" in absent.hint
    assert conditions(absent.address) == {"engine": Condition.MISSING}
    assert local_data(absent) is None


def test_a_forbidden_socket_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A socket that belongs to a group one is not in: the hint is to join it."""

    def refuse(*_args: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    silence = ask(f"unix://{tmp_path}/docker.sock")
    assert isinstance(silence, Silence)
    assert silence.reason == "you may not use this socket"
    assert "usermod -aG docker" in silence.hint


def test_a_silent_listener_is_given_up(tmp_path: Path) -> None:
    """Something that accepts and never answers costs the time allowed, no more."""
    with socket.socket(socket.AF_UNIX) as mute:
        mute.bind(str(tmp_path / "mute"))
        mute.listen()
        silence = ask(f"unix://{tmp_path}/mute", timeout_s=0.1)
    assert isinstance(silence, Silence)
    assert "timed out" in silence.reason


def test_an_address_of_another_kind_is_not_asked() -> None:
    """ssh:// and friends cannot be asked from here, and the finding says so instead of trying."""
    silence = ask("ssh://builder.test")
    assert isinstance(silence, Silence)
    assert silence.reason == "cannot ask over ssh"


def test_the_first_engine_that_answers_is_used(tmp_path: Path) -> None:
    """Addresses are tried in order, silent ones passed over."""
    with engine(tmp_path / "1", bodies()) as one, engine(tmp_path / "2", bodies({"Version": "2"})) as two:
        answer = first_answer((f"unix://{tmp_path}/none", two, one))
    assert answer is not None
    assert answer.version == "2"
    assert first_answer((f"unix://{tmp_path}/none",)) is None
