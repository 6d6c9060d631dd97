"""A socket before the engine's own, that can be shut: what a client sees when the engine is stopped."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

_BLOCK = 64 * 1024


@dataclass
class Gate:
    """Passes on every connection, until it is shut: then those there are break, and new ones are refused."""

    path: Path
    engine: Path
    last_start: float = 0.0
    """When a container was last started, by the monotonic clock."""
    _open: list[socket.socket] = field(default_factory=list)
    _listener: socket.socket | None = None

    @property
    def address(self) -> str:
        """Where a client finds the engine."""
        return f"unix://{self.path}"

    def open(self) -> None:
        """Let connections in."""
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(self.path))
        listener.listen()
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def shut(self) -> None:
        """Break every connection, and let none in."""
        if self._listener is not None:
            self.path.unlink()
            _end(self._listener)
            self._listener = None
        while self._open:
            _end(self._open.pop())

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                engine = socket.socket(socket.AF_UNIX)
                try:
                    engine.connect(str(self.engine))
                except OSError:  # it is away: so it is for the client
                    client.close()
                    engine.close()
                    continue
                self._open += [client, engine]
                for ends in ((client, engine), (engine, client)):
                    threading.Thread(target=self._pass_on, args=ends, daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while block := source.recv(_BLOCK):
                if block.startswith(b"POST ") and b"/start" in block.partition(b"\r\n")[0]:
                    self.last_start = time.monotonic()
                target.sendall(block)
            target.shutdown(socket.SHUT_WR)


def _end(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()


@contextmanager
def gate(path: Path, engine: Path) -> Iterator[Gate]:
    """Have an open gate before an engine as long as the context lasts."""
    made = Gate(path=path, engine=engine)
    made.open()
    try:
        yield made
    finally:
        made.shut()
