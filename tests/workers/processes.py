"""The farm's processes for tests, started as people start them, and the broker as `make up` configures it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import requests

from tests.servers import free_port

ROOT = Path(__file__).resolve().parent.parent.parent
PATIENCE_S = 90


@dataclass(kw_only=True)
class Process:
    """A role that runs."""

    program: subprocess.Popen[bytes]
    health: str
    log: Path

    def ready(self) -> dict[str, object]:
        """Wait until it answers, and say what it answers at last."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline and self.program.poll() is None:
            with suppress(requests.ConnectionError):
                answer = requests.get(f"{self.health}/readyz", timeout=10)
                if answer.status_code == 200:
                    return dict(answer.json())
            time.sleep(0.1)
        raise AssertionError(f"not ready: {self.log.read_text()}")

    def says(self, words: str) -> str:
        """Wait until its log has these words; return all of it."""
        deadline = time.monotonic() + PATIENCE_S
        while words not in (text := self.log.read_text()):
            assert self.program.poll() is None, text
            assert time.monotonic() < deadline, text
            time.sleep(0.1)
        return text

    def end(self) -> int:
        """Ask it to end; return its exit code."""
        self.program.send_signal(signal.SIGTERM)
        return self.program.wait(PATIENCE_S)

    def kill(self) -> None:
        """End it and its children as a power cut does."""
        with suppress(ProcessLookupError):
            os.killpg(self.program.pid, signal.SIGKILL)
        self.program.wait(PATIENCE_S)


@contextmanager
def process(root: Path, *words: str, **settings: object) -> Iterator[Process]:
    """Run a role with these settings, and kill what is left of it in the end."""
    with process_under((), root, *words, **settings) as started:
        yield started


@contextmanager
def process_under(before: tuple[str, ...], root: Path, *words: str, **settings: object) -> Iterator[Process]:
    """The same of a role that another program runs, given with its words."""
    port, log = free_port(), root.with_suffix(".log")
    environment = {key: value for key, value in os.environ.items() if not key.startswith("REBUILDER_")}
    environment |= {"REBUILDER_STATE": str(root), "REBUILDER_CACHE": str(root / "cache")}
    environment |= {f"REBUILDER_{key.upper()}": str(value) for key, value in settings.items()}
    argv = [*before, sys.executable, "-m", "workers", "--host", "127.0.0.1", "--health-port", str(port), *words]
    with log.open("wb") as stream:
        program = subprocess.Popen(
            argv, env=environment, stdout=stream, stderr=stream, cwd=root.parent, start_new_session=True
        )
    started = Process(program=program, health=f"http://127.0.0.1:{port}", log=log)
    try:
        yield started
    finally:
        started.kill()


@contextmanager
def broker(farm: Path, place: Path, *, address: str = "127.0.0.1") -> Iterator[int]:
    """Run Redis with the configuration and the users of deploy/ and of `make up`; give its port."""
    place.mkdir()
    port = free_port()
    text = (ROOT / "deploy" / "redis.conf").read_text().replace("bind * -::*", f"bind {address}")
    text = text.replace("port 6379", f"port {port}").replace("dir /state", f"dir {place}")
    text = text.replace("/run/secrets/redis_users", str(farm / "secrets" / "redis-users"))
    (place / "redis.conf").write_text(text)
    with (place / "log").open("wb") as log:
        program = subprocess.Popen(["redis-server", place / "redis.conf"], stdout=log, stderr=log)
    try:
        yield port
    finally:
        program.kill()
        program.wait(PATIENCE_S)


def wait_for(url: str, words: str) -> None:
    """Wait until an answer has these words."""
    deadline = time.monotonic() + PATIENCE_S
    while words not in (text := requests.get(url, timeout=10).text):
        assert time.monotonic() < deadline, text
        time.sleep(0.2)
