"""How much a build has written is asked from inside its container."""

from __future__ import annotations

import time

import pytest

from rebuilder.build import gauge as module
from rebuilder.build.container import Finished
from rebuilder.build.gauge import Gauge

TABLES = b"""\
1200\t/build
300\t/output
== space
Filesystem     1024-blocks     Used Available Capacity Mounted on
/dev/vda         263174212 42000000  %d      17%% /build
/dev/vda         263174212 42000000  %d      17%% /output
== files
Filesystem       Inodes   IUsed    IFree IUse%% Mounted on
/dev/vda       16777216 1000000 %d    6%% /build
/dev/vda       16777216 1000000 %d    6%% /output
"""
PLENTY = 10**8


class FakeContainer:
    """Answers each question with the same tables."""

    def __init__(self, *, space: int = PLENTY, files: int = PLENTY, output: bytes | None = None) -> None:
        self.output = TABLES % (space, space, files, files) if output is None else output
        self.asked: list[tuple[tuple[str, ...], str]] = []

    def execute(self, command: tuple[str, ...], *, user: str) -> Finished:
        """Answer."""
        self.asked.append((command, user))
        return Finished(status=0, output=self.output, errors=b"")


def poll(container: FakeContainer, monkeypatch: pytest.MonkeyPatch, *, limit_bytes: int = 2 * 1024**2) -> Gauge:
    """Run a gauge until it has polled once."""
    monkeypatch.setattr(module, "_PAUSE_S", 0.01)
    with Gauge(container, ("/build", "/output"), limit_bytes=limit_bytes) as gauge:  # type: ignore[arg-type]
        deadline = time.monotonic() + 5
        while not gauge.written_bytes and not gauge.excess and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.01)
    return gauge


def test_one_command_asks_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Starting a command in a container is the dearest part of a poll, so there is one, as root."""
    container = FakeContainer()
    gauge = poll(container, monkeypatch)
    assert gauge.written_bytes == 1500 * 1024
    assert gauge.excess is None
    command, user = container.asked[0]
    assert command[:2] == ("sh", "-c")
    assert command[-2:] == ("/build", "/output")
    assert user == "0:0"


@pytest.mark.parametrize(
    ("container", "limit_bytes", "words"),
    [
        (FakeContainer(), 1024**2, "it wrote 1536000 bytes, more than the 1048576 allowed"),
        (FakeContainer(space=1000), 2 * 1024**2, "the engine's disk has only 1024000 bytes left"),
        (FakeContainer(files=17), 2 * 1024**2, "the engine's disk has only 17 files left"),
    ],
)
def test_each_excess_is_said(
    container: FakeContainer, limit_bytes: int, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too much written, a full disk, and a disk without inodes are told apart."""
    assert poll(container, monkeypatch, limit_bytes=limit_bytes).excess == words


@pytest.mark.parametrize("output", [b"", b"== space\n== files\n", b"du: fork failed\n", b"\xff\x00 garbage"])
def test_an_answer_that_says_nothing_ends_nothing(output: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container without processes left, or just ended, cannot be asked: the next poll asks again."""
    container = FakeContainer(output=output)
    monkeypatch.setattr(module, "_PAUSE_S", 0.01)
    with Gauge(container, ("/build",), limit_bytes=1) as gauge:  # type: ignore[arg-type]
        deadline = time.monotonic() + 5
        while len(container.asked) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
    assert len(container.asked) >= 2
    assert gauge.excess is None
