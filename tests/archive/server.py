"""A directory over HTTP on the loopback interface, with faults on request."""

from __future__ import annotations

import threading
import time
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import unquote, urlsplit


class Fault(StrEnum):
    """How a server may misbehave about one path."""

    NOT_FOUND = "not-found"
    BROKEN = "broken"
    """Answers 503."""
    BREAKS_OFF = "breaks-off"
    """Announces the whole length, sends half, closes."""
    SHORT = "short"
    """Sends half, and announces just that."""
    SLOW = "slow"
    """Sends a byte, then waits."""
    FLIPPED = "flipped"
    """Changes one bit."""


class Loopback:
    """Serves a directory while it is entered; `faults` maps ends of paths to faults, and may change at any time."""

    def __init__(self, root: Path, *, pause_s: float = 2.0) -> None:
        self.root = root
        self.pause_s = pause_s
        self.faults: dict[str, Fault] = {}
        self.requests: list[str] = []
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})

    @property
    def address(self) -> str:
        """The base address, without a slash at its end."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def fault_of(self, path: str) -> Fault | None:
        """Return the fault that a path was given, if any."""
        return next((fault for end, fault in self.faults.items() if path.endswith(end)), None)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, loopback: Loopback) -> None:
        self.loopback = loopback
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.server.loopback.requests.append(path)
        fault, file = self.server.loopback.fault_of(path), self.server.loopback.root / path.lstrip("/")
        if fault is Fault.NOT_FOUND or ".." in path or not file.is_file():
            self.send_error(404)
        elif fault is Fault.BROKEN:
            self.send_error(503)
        else:
            self._send(file.read_bytes(), fault)

    def _send(self, data: bytes, fault: Fault | None) -> None:
        if fault is Fault.FLIPPED:
            data = data[:-1] + bytes([data[-1] ^ 1])
        if fault is Fault.SHORT:
            data = data[: len(data) // 2]
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        try:
            self._send_body(data, fault)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _send_body(self, data: bytes, fault: Fault | None) -> None:
        if fault is Fault.BREAKS_OFF:
            self.wfile.write(data[: len(data) // 2])
            self.close_connection = True
        elif fault is Fault.SLOW:
            self.wfile.write(data[:1])
            self.wfile.flush()
            time.sleep(self.server.loopback.pause_s)
            self.wfile.write(data[1:])
        else:
            self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Say nothing."""
