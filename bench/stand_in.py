"""Stand-ins on the loopback interface for the services that debrebuild asks: a snapshot archive, an index, names.

The snapshot is a directory served as it is (see bench/snapshot.py). The index of versions is asked by POST, whatever
the path: a form with `archive`, `arch` and `pkgs` (`name:arch=version,…`), answered with one line for each place of
each package, `name arch version suite component begin end`, or with 404 and `name arch version` of what it lacks.
The name server answers 127.0.0.1 for the given names, and that nothing else exists.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import socketserver
import struct
import threading
from collections.abc import Collection, Iterable, Iterator
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from bench.snapshot import VERSIONS, Seen

LOOPBACK = "127.0.0.1"
HTTP_PORT, NAME_PORT = 80, 53
_FORM_LIMIT_BYTES = 4 * 1024**2
_FOUND, _NOT_FOUND = 200, 404
_ADDRESS, _INTERNET = 1, 1
_RESPONSE, _NO_SUCH_NAME = 0x8580, 3


@contextlib.contextmanager
def serving(
    root: Path, names: Collection[str], ports: tuple[int, int] = (HTTP_PORT, NAME_PORT)
) -> Iterator[tuple[int, int]]:
    """Serve a snapshot and names over the block; yield the ports, for 0 as one asks for any."""
    archive = _Archive(root, ports[0])
    resolver = _Resolver(names, ports[1])
    threads = [
        threading.Thread(target=each.serve_forever, kwargs={"poll_interval": 0.05}) for each in (archive, resolver)
    ]
    for thread in threads:
        thread.start()
    try:
        yield archive.server_address[1], resolver.server_address[1]
    finally:
        for server in (archive, resolver):
            server.shutdown()
            server.server_close()
        for thread in threads:
            thread.join()


def read_form(kind: str, body: bytes) -> dict[str, str]:
    """Read the fields of a form that came as multipart/form-data."""
    message = message_from_bytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + body)
    fields = {}
    for part in message.walk():
        name = part.get_param("name", header="content-disposition")
        if isinstance(name, str):
            content = part.get_payload(decode=True)
            fields[name] = content.decode() if isinstance(content, bytes) else ""
    return fields


def answer_versions(form: dict[str, str], known: Iterable[Seen]) -> tuple[int, str]:
    """Answer the index's question: a status, and lines."""
    places: dict[tuple[str, str], list[Seen]] = {}
    for seen in known:
        if seen.archive == form.get("archive"):
            places.setdefault((seen.name, seen.version), []).append(seen)
    wanted = [_parse_wanted(text) for text in form.get("pkgs", "").split(",") if text]
    if missing := [each for each in wanted if (each[0], each[2]) not in places]:
        return _NOT_FOUND, "".join(f"{' '.join(each)}\n" for each in missing)
    lines = (
        f"{name} {architecture} {version} {seen.suite} {seen.component} {seen.timestamp} {seen.timestamp}\n"
        for name, architecture, version in wanted
        for seen in places[name, version]
    )
    return _FOUND, "".join(lines)


def answer_name(query: bytes, names: Collection[str]) -> bytes:
    """Answer a question for a name's address (RFC 1035, 4.1)."""
    identity, _, count = struct.unpack("!HHH", query[:6])
    labels, at = [], 12
    while (length := query[at]) != 0:
        labels.append(query[at + 1 : at + 1 + length].decode("ascii", "replace"))
        at += 1 + length
    kind, family = struct.unpack("!HH", query[at + 1 : at + 5])
    question = query[12 : at + 5]
    is_known = ".".join(labels).lower() in names
    record = b""
    if is_known and (kind, family) == (_ADDRESS, _INTERNET):
        record = struct.pack("!HHHIH4s", 0xC00C, _ADDRESS, _INTERNET, 60, 4, bytes([127, 0, 0, 1]))
    flags = _RESPONSE | (0 if is_known else _NO_SUCH_NAME)
    return struct.pack("!HHHHHH", identity, flags, min(count, 1), 1 if record else 0, 0, 0) + question + record


def _parse_wanted(text: str) -> tuple[str, str, str]:
    """Parse `name:arch=version`."""
    package, _, version = text.partition("=")
    name, _, architecture = package.partition(":")
    return name, architecture, version


class _Archive(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, root: Path, port: int) -> None:
        self.root = root
        self.known = tuple(Seen(**each) for each in json.loads((root / VERSIONS).read_bytes()))
        super().__init__((LOOPBACK, port), _Handler)

    def server_bind(self) -> None:
        """Bind without asking for the machine's name: nothing in here can resolve it."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = LOOPBACK, self.server_address[1]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 120
    server: _Archive

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        parts = [
            part for part in PurePosixPath(f"{path}index" if path.endswith("/") else path).parts if part.strip("/")
        ]
        file = self.server.root.joinpath(*parts)
        if ".." in parts or not file.is_file():
            self._answer(_NOT_FOUND, b"")
            return
        with file.open("rb") as stream, contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.send_response(_FOUND)
            self.send_header("Content-Length", str(file.stat().st_size))
            self.end_headers()
            shutil.copyfileobj(stream, self.wfile, 1024**2)

    def do_POST(self) -> None:
        length = min(int(self.headers.get("Content-Length", 0)), _FORM_LIMIT_BYTES)
        form = read_form(self.headers.get("Content-Type", ""), self.rfile.read(length))
        status, lines = answer_versions(form, self.server.known)
        self._answer(status, lines.encode())

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Say nothing."""


class _Resolver(socketserver.UDPServer):
    def __init__(self, names: Collection[str], port: int) -> None:
        self.names = frozenset(names)
        super().__init__((LOOPBACK, port), _Question)


class _Question(socketserver.BaseRequestHandler):
    server: _Resolver

    def handle(self) -> None:
        """Answer what can be read, and nothing else."""
        query, channel = self.request
        with contextlib.suppress(struct.error, IndexError):
            channel.sendto(answer_name(query, self.server.names), self.client_address)
