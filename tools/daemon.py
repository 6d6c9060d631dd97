"""Start a container engine of Debian's docker.io, and stop exactly that one again.

What was started is written to `engine.json` before anything waits for it: process id and start time (field 22 of
/proc/PID/stat), which no other process can have, and which checkout of this project wanted it. An engine in the usual
place is the machine's, for all of them: only the one that started it stops it. Builds never have network, so the daemon
gets no bridge and leaves the machine's packet filter alone; one for a farm's services (`Place.networks`) makes the
networks that it is asked for.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from rebuilder.doctor.engine import Answer, ask
from rebuilder.world import process

CHECKOUT = Path(__file__).resolve().parent.parent
WITHOUT_NETWORK = ("--bridge=none", "--iptables=false", "--ip-forward=false", "--ip-masq=false")
WITH_NETWORKS = ("--bridge=none",)
"""No network but those that somebody makes: each with its rules in the machine's packet filter."""
LONGEST_ROOT = 70
"""Characters of a directory below which an engine's sockets fit: the kernel takes 107 in all."""
START_S = 60
STOP_S = 30


class EngineError(Exception):
    """The engine could not be started or stopped; the message says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where an engine keeps its things."""

    state: Path
    """Our record, its log and its process id."""
    socket: Path = Path("/var/run/docker.sock")
    run: Path = Path("/var/run/docker")
    data: Path | None = None
    """None for the engine's own default."""
    networks: bool = False
    """Whether its containers may have networks."""

    @property
    def address(self) -> str:
        """What DOCKER_HOST says to reach it."""
        return f"unix://{self.socket}"

    @property
    def lone(self) -> Path:
        """A second socket of the same engine, alone in its directory.

        Who mounts a socket keeps it when the engine makes another in its place; who mounts the directory finds that.
        """
        return self.state / "socket" / "docker.sock"

    @property
    def log(self) -> Path:
        """What the daemon says."""
        return self.state / "dockerd.log"

    @property
    def record(self) -> Path:
        """Which process we started."""
        return self.state / "engine.json"


DEFAULT = Place(state=Path("/run/rebuilder"))


def below(root: Path, *, networks: bool = False) -> Place:
    """Describe an engine of its own, everything under one directory, beside whatever the machine runs."""
    return Place(state=root, socket=root / "docker.sock", run=root / "run", data=root / "data", networks=networks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A daemon that is there because we wanted it."""

    pid: int
    ticks: int
    """When it started, in the kernel's clock ticks since boot."""
    service: bool = False
    """Whether the machine's service manager runs it."""
    checkout: str = ""
    """Directory of the project that wanted it."""


def start(place: Place) -> Answer:
    """Start dockerd and wait until it answers; raise EngineError, with its last words, when it does not."""
    program = process.find("dockerd")
    if program is None:
        raise EngineError("no dockerd to start: docker.io is not installed")
    _refuse_second(place)
    _refuse_unfit(place)
    forget_stale(place)
    place.state.mkdir(parents=True, exist_ok=True)
    place.lone.parent.mkdir(exist_ok=True)
    hosts = (word for address in (place.address, f"unix://{place.lone}") for word in ("--host", address))
    own = [*hosts, "--pidfile", str(place.state / "dockerd.pid"), "--log-level=warn"]
    if place.data:
        own += ["--data-root", str(place.data), "--exec-root", str(place.run)]
    # A machine with a configuration of its own keeps it: a flag that is also in the file would be refused.
    flags = [] if place.data is None and Path("/etc/docker/daemon.json").exists() else _networks(place)
    pid = _spawn([str(program), *own, *flags], place.log)
    write_record(place, pid)
    answer = wait_for(place.address, START_S, alive=lambda: start_ticks(pid) is not None)
    if answer is None:
        stop(place)
        raise EngineError(f"dockerd did not come up; its last words (all in {place.log}):\n{_last_words(place.log)}")
    return answer


def stop(place: Place) -> bool:
    """Stop the daemon that the record names, if it still lives and is ours; return whether there was one to stop."""
    started = read_record(place)
    if started is None or anothers(place) is not None:
        return False
    if started.service:
        subprocess.run(["systemctl", "stop", "docker.socket", "docker.service"], check=False)
    children = _children(started.pid)
    _end(started)
    for child in children:
        _end(child)
    place.record.unlink(missing_ok=True)
    return True


def anothers(place: Place) -> str | None:
    """Name the other checkout that started the daemon; None where it was this one, or one that is gone."""
    started = read_record(place)
    if started is None or started.checkout in {"", str(CHECKOUT)} or not Path(started.checkout).is_dir():
        return None
    return started.checkout


def write_record(place: Place, pid: int, *, service: bool = False) -> None:
    """Note that this process is there because of us."""
    ticks = start_ticks(pid)
    if ticks is None:
        return
    place.state.mkdir(parents=True, exist_ok=True)
    started = Started(pid=pid, ticks=ticks, service=service, checkout=str(CHECKOUT))
    place.record.write_text(json.dumps(asdict(started)) + "\n")


def read_record(place: Place) -> Started | None:
    """Load which daemon we started, if it still lives: same process id and same start time."""
    try:
        started = Started(**json.loads(place.record.read_text()))
    except (OSError, ValueError, TypeError):
        return None
    return started if start_ticks(started.pid) == started.ticks else None


def start_ticks(pid: int) -> int | None:
    """When a process started; None when there is none or it is a zombie."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if words[0] == "Z" else int(words[19])


def running(name: str) -> list[int]:
    """List the process ids of all programs of that name; one that has ended, and that nobody has asked how, is none."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if (entry / "comm").read_text().strip() == name and start_ticks(int(entry.name)) is not None:
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def wait_for(address: str, timeout_s: float, *, alive: Callable[[], bool]) -> Answer | None:
    """Ask until an engine answers; None when time is up or `alive` says that waiting is in vain."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline and alive():
        answer = ask(address, timeout_s=5)
        if isinstance(answer, Answer):
            return answer
        time.sleep(0.2)
    return None


def _refuse_second(place: Place) -> None:
    others = [pid for pid in running("dockerd") if not _is_elsewhere(pid)] if place.data is None else []
    if others:
        raise EngineError(
            f"a dockerd runs already (process {others[0]}) but does not answer at {place.address}; "
            "set DOCKER_HOST to where it listens"
        )


def _is_elsewhere(pid: int) -> bool:
    """Whether a dockerd was told to keep its things elsewhere than is usual, as that of a farm's services is."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return True  # it has ended
    return any(word.partition(b"=")[0] == b"--data-root" for word in words)


def _refuse_unfit(place: Place) -> None:
    """Refuse what dockerd would say less clearly, or not at all."""
    if place.data and len(str(place.state)) > LONGEST_ROOT:
        raise EngineError(f"{place.state} is too long a name for an engine's sockets; use a directory nearer to /")
    if not place.networks:
        return
    words = ["iptables", "--wait", "5", "-n", "-L", "FORWARD"]
    program = process.find(words[0])
    done = program and subprocess.run([program, *words[1:]], capture_output=True, text=True, check=False, timeout=30)
    if not done or done.returncode != 0:
        why = done.stderr.strip().partition("\n")[0] if done else "it is not installed"
        raise EngineError(
            f"networks between containers need iptables, which does not work here: {why[:200]}\n"
            "  set DOCKER_HOST to an engine that has networks already, or use a machine whose kernel has netfilter"
        )


def _networks(place: Place) -> tuple[str, ...]:
    return WITH_NETWORKS if place.networks else WITHOUT_NETWORK


def _spawn(argv: list[str], log: Path) -> int:
    """Start a program that outlives us, in a session of its own, writing to a log and reading nothing.

    What whoever called us has open, such as the lock of flock(1), is not kept open by it.
    """
    append = os.O_WRONLY | os.O_APPEND | os.O_CREAT
    files = [
        *((os.POSIX_SPAWN_CLOSE, number) for number in _inherited()),
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(log), append, 0o644),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    return os.posix_spawn(argv[0], argv, os.environ, file_actions=files, setsid=True)


def _inherited() -> list[int]:
    """List open files beyond the three standard ones that a child would get."""
    found = []
    for entry in Path("/proc/self/fd").iterdir():
        number = int(entry.name)
        with suppress(OSError):  # the one that lists this directory is closed by now
            if number > 2 and os.get_inheritable(number):
                found.append(number)
    return found


def forget_stale(place: Place) -> None:
    """Remove process ids that a killed daemon left: dockerd believes them even when another program has them now."""
    (place.state / "dockerd.pid").unlink(missing_ok=True)
    inner = place.run / "containerd" / "containerd.pid"
    try:
        pid = int(inner.read_text())
    except (OSError, ValueError):
        return
    if pid not in running("containerd"):
        inner.unlink(missing_ok=True)


def _children(pid: int) -> list[Started]:
    found = []
    for child in running("containerd"):
        try:
            parent = int(Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        ticks = start_ticks(child)
        if parent == pid and ticks is not None:
            found.append(Started(pid=child, ticks=ticks))
    return found


def _end(started: Started) -> None:
    for number, patience_s in ((signal.SIGTERM, STOP_S), (signal.SIGKILL, 5)):
        if start_ticks(started.pid) != started.ticks:
            return
        os.kill(started.pid, number)
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline and start_ticks(started.pid) == started.ticks:
            time.sleep(0.1)


def _last_words(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-8:])
