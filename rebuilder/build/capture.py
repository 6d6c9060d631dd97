"""The build's log: written to a file as it comes, counted, cut at its limit."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from rebuilder.errors import EngineFailure, RebuilderError
from rebuilder.world.files import storage_errors

_TAIL_BYTES = 16 * 1024


class LogCapture:
    """Drains a container's output into a file in a thread, from the start to the end of the container."""

    def __init__(self, pieces: Iterator[tuple[bytes, bytes]], path: Path, *, limit_bytes: int) -> None:
        self._pieces = pieces
        self._path = path
        self._limit_bytes = limit_bytes
        self._tail: deque[bytes] = deque()
        self._tail_bytes = 0
        self._failure: RebuilderError | None = None
        self._ended = threading.Event()
        self.size_bytes = 0
        """Everything that was written so far, kept or not."""
        self.lines = 0
        self._thread = threading.Thread(target=self._run, name="log-capture", daemon=True)
        self._thread.start()

    @property
    def is_over(self) -> bool:
        """Whether more was written than is kept."""
        return self.size_bytes > self._limit_bytes

    def wait(self, timeout_s: float) -> bool:
        """Wait for the end of the output; False when it goes on. Raise what reading it raised."""
        ended = self._ended.wait(timeout_s)
        if self._failure is not None:
            raise self._failure
        return ended

    def close(self, timeout_s: float) -> None:
        """Wait for the file to be whole; raise EngineFailure when the output does not end."""
        if not self.wait(timeout_s):
            raise EngineFailure("the engine did not end the output of a container that has ended")

    def tail(self) -> str:
        """Return the last words, for a reason: at most some kilobytes."""
        return b"".join(self._tail).decode("utf-8", "replace")

    def _run(self) -> None:
        try:
            with storage_errors(self._path), self._path.open("wb") as stream:
                for output, errors in self._pieces:
                    data = output or errors
                    room = max(self._limit_bytes - self.size_bytes, 0)
                    stream.write(data[:room])
                    self._count(data)
        except RebuilderError as error:
            self._failure = error
        finally:
            self._ended.set()

    def _count(self, data: bytes) -> None:
        self.size_bytes += len(data)
        self.lines += data.count(b"\n")
        self._tail.append(data[-_TAIL_BYTES:])
        self._tail_bytes += len(self._tail[-1])
        while len(self._tail) > 1 and self._tail_bytes - len(self._tail[0]) >= _TAIL_BYTES:
            self._tail_bytes -= len(self._tail.popleft())
