"""Ask a container engine what it is, over its own HTTP API and nothing else.

The Docker Engine API (`/version`, `/info`) is asked directly: the question costs milliseconds, works while the machine
is still being set up, and tells apart "nothing listens", "you may not" and "something else listens there".
"""

from __future__ import annotations

import http.client
import json
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rebuilder.build.engine_facts import is_podman, is_rootless, unenforced
from rebuilder.doctor.finding import Condition, Finding
from rebuilder.world import process

_LIMIT_BYTES = 1024**2
_TIMEOUT_S = 10.0
_PURPOSE = "builds run in its containers"
_GET_ONE = "`make engine` starts one (root on Debian or Ubuntu), or set DOCKER_HOST to the address of one"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An engine answered."""

    address: str
    name: str
    version: str
    api: str
    cgroup: str
    """`1` or `2`."""
    storage: str
    init: str
    """The program that reaps processes inside containers; empty when the engine has none."""
    networks: tuple[str, ...]
    data: str
    """Its directory of images and containers, on its own machine."""
    rootless: bool
    """Whether it runs without root, in a user namespace."""
    unenforced: tuple[str, ...]
    """Limits that it takes and does not keep here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """No engine answered."""

    address: str
    reason: str
    hint: str


def default_addresses() -> tuple[str, ...]:
    """Where an engine of this machine may listen: Docker's socket, Podman's, and those of an engine without root."""
    own = f"/run/user/{os.getuid()}"
    paths = ("/var/run/docker.sock", "/run/podman/podman.sock", f"{own}/docker.sock", f"{own}/podman/podman.sock")
    return tuple(f"unix://{path}" for path in paths)


def ask(address: str, *, timeout_s: float = _TIMEOUT_S) -> Answer | Silence:
    """Ask the engine at `unix://PATH`, `tcp://HOST:PORT` or `http://…` what it is. Raises nothing."""
    parts = urlsplit(address)
    if parts.scheme not in {"unix", "tcp", "http"}:
        return Silence(address=address, reason=f"cannot ask over {parts.scheme or 'no scheme'}", hint=_GET_ONE)
    try:
        version = _get(address, "/version", timeout_s)
        return _answer(address, version, _get(address, "/info", timeout_s))
    except (OSError, http.client.HTTPException) as error:
        return _silence(address, error)
    except (ValueError, TypeError, AttributeError, LookupError, RecursionError):
        return Silence(address=address, reason="what listens there is no container engine", hint=_GET_ONE)


def _silence(address: str, error: Exception) -> Silence:
    match error:
        case FileNotFoundError():
            return Silence(address=address, reason="no such socket", hint=_GET_ONE)
        case ConnectionRefusedError():
            return Silence(address=address, reason="nothing listens there", hint=_GET_ONE)
        case PermissionError():
            group = "run `sudo usermod -aG docker $USER`, then log in again; or use an engine without root"
            return Silence(address=address, reason="you may not use this socket", hint=group)
        case _:
            return Silence(address=address, reason=str(error) or type(error).__name__, hint=_GET_ONE)


def first_answer(addresses: tuple[str, ...]) -> Answer | None:
    """Return the first of these engines that answers."""
    for address in addresses:
        answer = ask(address)
        if isinstance(answer, Answer):
            return answer
    return None


def examine_engine(chosen: str | None) -> tuple[Answer | Silence, tuple[Finding, ...]]:
    """Look at the engine that a verification would use: the chosen one (setting or DOCKER_HOST), else Docker's own."""
    usual, *others = default_addresses()
    answer = ask(chosen or usual)
    if isinstance(answer, Answer):
        return answer, (_reachable(answer), *_abilities(answer))
    other = None if chosen else first_answer(tuple(others))
    remedy = f"set DOCKER_HOST={other.address}: {other.name} {other.version} answers there" if other else answer.hint
    found = f"{answer.address}: {answer.reason}"
    finding = Finding(name="engine", condition=Condition.MISSING, found=found, purpose=_PURPOSE, remedy=remedy)
    return answer, (finding,)


def local_data(answer: Answer | Silence) -> Path | None:
    """Where the engine keeps images and containers, when that is on this machine."""
    if isinstance(answer, Answer) and answer.address.startswith("unix:") and answer.data:
        return Path(answer.data)
    return None


def _reachable(answer: Answer) -> Finding:
    without = "without root, " if answer.rootless else ""
    details = f"{without}API {answer.api}, cgroup v{answer.cgroup}, {answer.storage}"
    found = f"{answer.name} {answer.version} ({details}) at {answer.address}"
    if answer.storage == "vfs":
        slow = f"its storage driver copies whole images; {_how_to_overlay(answer)}"
        return Finding(name="engine", condition=Condition.WARN, found=found, purpose=_PURPOSE, remedy=slow)
    return Finding(name="engine", condition=Condition.OK, found=found, purpose=_PURPOSE)


def _abilities(answer: Answer) -> tuple[Finding, ...]:
    lost = ", ".join(answer.unenforced)
    isolated = "none" in answer.networks or "null" in answer.networks or answer.name.startswith("Podman")
    return (
        Finding(
            name="engine: no network",
            condition=Condition.OK if isolated else Condition.MISSING,
            found="containers without network are offered" if isolated else f"networks: {', '.join(answer.networks)}",
            purpose="no container ever has network",
            remedy=None if isolated else "use Docker or Podman",
        ),
        Finding(
            name="engine: init",
            condition=Condition.OK if answer.init else Condition.WARN,
            found=answer.init or "no init program",
            purpose="reaps the orphans of a build",
            remedy=None if answer.init else "install docker-init (Debian: docker.io brings it) or catatonit",
        ),
        Finding(
            name="engine: limits",
            condition=Condition.WARN if lost else Condition.OK,
            found=f"not enforced: {lost}" if lost else "memory, processes and processor time",
            purpose="bound what a build may use",
            remedy=_how_to_limit(answer) if lost else None,
        ),
    )


def _how_to_overlay(answer: Answer) -> str:
    if not answer.rootless:
        return "give its data directory a file system that overlayfs accepts"
    return (
        'write `driver = "overlay"` below `[storage]` in ~/.config/containers/storage.conf, then run '
        "`podman system reset`, which forgets what the old driver holds"
    )


def _podmans_init(address: str) -> str:
    """Look for the program, for Podman does not say; of an engine elsewhere it is believed, whose first start tells."""
    if not address.startswith("unix:"):
        return "not said by this engine"
    places = (process.find("catatonit"), Path("/usr/libexec/podman/catatonit"), Path("/usr/lib/podman/catatonit"))
    return next((str(place) for place in places if place and place.is_file()), "")


def _how_to_limit(answer: Answer) -> str:
    if not answer.rootless:
        return "enable these controllers in the kernel's cgroups"
    if answer.cgroup != "2":
        return "without root, limits need cgroup v2: boot with systemd.unified_cgroup_hierarchy=1, or use root's engine"
    return (
        "without root, limits need systemd as cgroup manager, and controllers that it delegates: log in with a session "
        "of your own (Debian: dbus-user-session), or run `loginctl enable-linger`, then start the engine again"
    )


def _answer(address: str, version: dict[str, Any], info: dict[str, Any]) -> Answer:
    name, number = str(version.get("Platform", {}).get("Name", "")), version["Version"]
    podman = "podman" in name.lower() or is_podman(version)
    return Answer(
        address=address,
        name="Podman" if podman else "Docker",
        version=str(number),
        api=str(version["ApiVersion"]),
        cgroup=str(info.get("CgroupVersion") or "1"),
        storage=str(info["Driver"]),
        init=str(info.get("InitBinary") or (_podmans_init(address) if podman else "")),
        networks=tuple(str(network) for network in (info.get("Plugins", {}).get("Network") or ())),
        data=str(info.get("DockerRootDir") or ""),
        rootless=is_rootless(info),
        unenforced=unenforced(info),
    )


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a socket in the file system."""

    def __init__(self, path: str, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _get(address: str, path: str, timeout_s: float) -> dict[str, Any]:
    parts = urlsplit(address)
    if parts.scheme == "unix":
        connection: http.client.HTTPConnection = _UnixConnection(str(Path("/", parts.path)), timeout_s)
    else:
        connection = http.client.HTTPConnection(parts.hostname or "localhost", parts.port or 2375, timeout=timeout_s)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read(_LIMIT_BYTES)
    finally:
        connection.close()
    if response.status != http.client.OK:
        raise ValueError(f"status {response.status}")
    value = json.loads(body)
    if not isinstance(value, dict):
        raise TypeError("an object was expected")
    return value
