"""How much a build has written is watched from a container of its own, and looked at once more after the end."""

from __future__ import annotations

import queue
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from rebuilder.build.container import Mount, Spec
from rebuilder.build.gauge import Gauge
from rebuilder.errors import EngineFailure
from rebuilder.model.digest import Digest

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
== end
"""
PLENTY = 10**8
MOUNTS = (Mount(volume="tree", path="/build", writable=True), Mount(volume="outputs", path="/output", writable=True))


def tables(*, space: int = PLENTY, files: int = PLENTY) -> bytes:
    """One whole answer: 1500 KiB were written."""
    return TABLES % (space, space, files, files)


class FakeContainer:
    """Says what it is made to say, and a last word when it is asked to end."""

    def __init__(self, *words: bytes, last: bytes = b"") -> None:
        self.spoken: queue.Queue[bytes | None] = queue.Queue()
        for word in (b"== ready\n", *words):
            self.spoken.put(word)
        self.last = last

    def start(self) -> Iterator[tuple[bytes, bytes]]:
        """Speak until the end."""
        while (word := self.spoken.get()) is not None:
            yield word, b""

    def terminate(self) -> None:
        """Say the last word."""
        self.spoken.put(self.last)
        self.kill()

    def kill(self) -> None:
        """End."""
        self.spoken.put(None)


class FakeEngine:
    """Makes the one container, and notes how."""

    def __init__(self, container: FakeContainer) -> None:
        self.made = container
        self.spec: Spec | None = None

    @contextmanager
    def container(self, spec: Spec) -> Iterator[FakeContainer]:
        """Hand it out."""
        self.spec = spec
        yield self.made


def gauge_of(container: FakeContainer, *, limit_bytes: int = 2 * 1024**2) -> Gauge:
    """Make a gauge whose container is the fake."""
    return Gauge(FakeEngine(container), Digest.of(b"image"), MOUNTS, limit_bytes=limit_bytes)  # type: ignore[arg-type]


def looked(gauge: Gauge) -> Gauge:
    """Wait until it has seen an answer."""
    deadline = time.monotonic() + 5
    while not gauge.written_bytes and time.monotonic() < deadline:
        time.sleep(0.005)
    return gauge


def test_it_sees_the_volumes_and_can_change_nothing() -> None:
    """Mounts are read-only, the root too, and it has one capability: to look into every directory."""
    engine = FakeEngine(FakeContainer(last=tables()))
    with Gauge(engine, Digest.of(b"image"), MOUNTS, limit_bytes=1) as gauge:  # type: ignore[arg-type]
        gauge.start()
        gauge.finish()
    spec = engine.spec
    assert spec is not None
    assert [(mount.path, mount.writable) for mount in spec.mounts] == [("/build", False), ("/output", False)]
    assert (spec.read_only, spec.capabilities) == (True, ("DAC_OVERRIDE",))


@pytest.mark.parametrize(
    ("answer", "limit_bytes", "words"),
    [
        (tables(), 2 * 1024**2, None),
        (tables(), 1024**2, "it wrote 1536000 bytes, more than the 1048576 allowed"),
        (tables(space=1000), 2 * 1024**2, "the engine's disk has only 1024000 bytes left"),
        (tables(files=17), 2 * 1024**2, "the engine's disk has only 17 files left"),
    ],
)
def test_each_excess_is_said_while_the_build_runs(answer: bytes, limit_bytes: int, words: str | None) -> None:
    """Too much written, a full disk, and a disk without inodes are told apart; an answer may come in pieces."""
    with gauge_of(FakeContainer(answer[:100], answer[100:]), limit_bytes=limit_bytes) as gauge:
        gauge.start()
        assert looked(gauge).excess == words


def test_what_grew_since_the_last_look_counts() -> None:
    """A build that overshoots between two looks and ends is looked at once more."""
    with gauge_of(FakeContainer(tables(), last=tables().replace(b"1200\t", b"9000\t"))) as gauge:
        gauge.start()
        assert looked(gauge).excess is None
        assert gauge.finish() == "it wrote 9523200 bytes, more than the 2097152 allowed"


@pytest.mark.parametrize("last", [b"", b"== space\n== files\n== end\n", b"1200\t/build\n== space\n== files\n== end\n"])
def test_what_was_not_measured_does_not_pass(last: bytes) -> None:
    """No last answer, one without sizes, or with too few of them, is no answer."""
    with gauge_of(FakeContainer(tables(), last=last)) as gauge:
        gauge.start()
        with pytest.raises(EngineFailure, match="could not be measured: the last look gave no answer"):
            gauge.finish()


def test_noise_ends_nothing_and_endless_noise_is_not_kept() -> None:
    """Notices between the answers say nothing; a container that talks without end is cut off."""
    with gauge_of(FakeContainer(b"du: cannot access\n== end\n", last=tables())) as gauge:
        gauge.start()
        assert gauge.finish() is None
    with gauge_of(FakeContainer(b"x" * 70_000, last=tables())) as gauge:
        gauge.start()
        with pytest.raises(EngineFailure, match="says more than it was asked"):
            gauge.finish()


def test_one_that_was_never_started_ends_at_once() -> None:
    """An interrupt before the first look leaves no container, and waits for none."""
    engine = FakeEngine(FakeContainer())
    with Gauge(engine, Digest.of(b"image"), MOUNTS, limit_bytes=1) as gauge:  # type: ignore[arg-type]
        pass
    gauge.start()
    gauge._thread.join(5)
    assert engine.spec is None
