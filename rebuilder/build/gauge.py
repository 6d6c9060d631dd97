"""How much a build has written, asked from inside its container: there is no quota to rely on.

Docker has disk quotas only on xfs with pquota, and an engine may be on another machine, so `du` and `df` run in the
container. Where they cannot (no processes left, container just ended) nothing is known, and the next poll asks again.
What a build wrote between the last poll and its own end is measured by `excess_left`, in a container that only looks.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from types import TracebackType
from typing import Self

from rebuilder.build.container import Container, Engine, Mount, Spec
from rebuilder.build.streams import Collector
from rebuilder.errors import EngineFailure
from rebuilder.model.digest import Digest

_PAUSE_S = 3.0
_SHARE = 20
"""A poll that took a second is followed by a pause of so many."""
_SPACE, _FILES = b"== space\n", b"== files\n"
_QUESTION = 'du -sk "$@"; echo "== space"; df -Pk "$@"; echo "== files"; df -Pi "$@"'
"""One command for all three: starting one costs an engine more than any of them costs the build."""
_COUNT = ("du", "-sk")
_PATH = ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
_COUNT_S = 120
_ANSWER_LIMIT_BYTES = 64 * 1024
_RESERVE_BYTES = 1024**3
_RESERVE_FILES = 10_000


class Gauge:
    """Polls in a thread while the context lasts; `excess` says why the build must end."""

    def __init__(self, container: Container, paths: tuple[str, ...], *, limit_bytes: int) -> None:
        self._container = container
        self._paths = paths
        self._limit_bytes = limit_bytes
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="gauge", daemon=True)
        self.excess: str | None = None
        """One clause for a reader; None while all is well."""
        self.written_bytes = 0

    def __enter__(self) -> Self:
        """Start."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop; a poll that is under way ends with the container."""
        self._stop.set()

    def _run(self) -> None:
        pause = _PAUSE_S
        while not self._stop.wait(pause) and self.excess is None:
            started = time.monotonic()
            with suppress(EngineFailure):  # the container or the engine has ended: whoever waits will see which
                self._poll()
            pause = max(_PAUSE_S, _SHARE * (time.monotonic() - started))

    def _poll(self) -> None:
        command = ("sh", "-c", _QUESTION, "gauge", *self._paths)
        written, _, rest = self._container.execute(command, user="0:0").output.partition(_SPACE)
        space, _, files = rest.partition(_FILES)
        self.written_bytes = sum(_column(written, 0)) * 1024
        self.excess = _over(self.written_bytes, self._limit_bytes)
        free = _column(space, 3)
        if free and min(free) * 1024 < _RESERVE_BYTES:
            self.excess = f"the engine's disk has only {min(free) * 1024} bytes left"
        left = _column(files, 3)
        if left and 0 < min(left) < _RESERVE_FILES:
            self.excess = f"the engine's disk has only {min(left)} files left"


def excess_left(engine: Engine, image: Digest, mounts: tuple[Mount, ...], *, limit_bytes: int) -> str | None:
    """Measure what a build that has ended left in its volumes; return why that is too much, or None.

    A container of its own looks, with the volumes mounted read-only, as root without capabilities but the one to read
    every directory. Raise EngineFailure when it gives no answer: what was not measured does not pass.
    """
    paths = tuple(mount.path for mount in mounts)
    looking = tuple(Mount(volume=mount.volume, path=mount.path) for mount in mounts)
    spec = Spec(
        image=image,
        command=(*_COUNT, *paths),
        environment=(_PATH,),
        mounts=looking,
        capabilities=("DAC_OVERRIDE",),
    )
    with engine.container(spec) as container:
        collector = Collector(container.start(), limit_bytes=_ANSWER_LIMIT_BYTES)
        state = container.wait(_COUNT_S)
        if state is None:
            return f"what it wrote could not be counted within {_COUNT_S} s"
        output, _ = collector.result()
    sizes = _column(output, 0)
    if state.status != 0 or len(sizes) != len(paths):
        raise EngineFailure(f"what the build wrote could not be measured: du ended with status {state.status}")
    return _over(sum(sizes) * 1024, limit_bytes)


def _over(written_bytes: int, limit_bytes: int) -> str | None:
    if written_bytes <= limit_bytes:
        return None
    return f"it wrote {written_bytes} bytes, more than the {limit_bytes} allowed"


def _column(table: bytes, number: int) -> list[int]:
    """Numbers in one column of a table, heading and notices left out."""
    rows = (line.split() for line in table.decode("ascii", "replace").splitlines())
    return [int(row[number]) for row in rows if len(row) > number and row[number].isdigit()]
