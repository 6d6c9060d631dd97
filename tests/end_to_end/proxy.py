"""A way to the container engine that can be cut: for this program the engine has then died."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self


class EngineProxy:
    """Listens on a socket of its own and passes everything on to the engine's."""

    def __init__(self, path: Path, engine: Path) -> None:
        self.path = path
        self._engine = engine
        self._listener = socket.socket(socket.AF_UNIX)
        self._connections: list[socket.socket] = []

    @property
    def address(self) -> str:
        """What DOCKER_HOST must say."""
        return f"unix://{self.path}"

    def cut(self) -> None:
        """End every connection and take no more."""
        self._listener.close()
        self.path.unlink(missing_ok=True)
        for connection in list(self._connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        self._listener.bind(str(self.path))
        self._listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cut()

    def _accept(self) -> None:
        with suppress(OSError):  # closed: nobody is to come any more
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(str(self._engine))
                self._connections += [client, server]
                for source, target in ((client, server), (server, client)):
                    threading.Thread(target=_pass_on, args=(source, target), daemon=True).start()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
