"""Downloads from servers that misbehave: bounded in time and size, and never half-kept."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from rebuilder.errors import DigestMismatch, NetworkFailure
from rebuilder.model.digest import Digest
from rebuilder.world.http import HttpFetcher, NotFound, Patience

BODY = b"x" * 100_000


class Server(BaseHTTPRequestHandler):
    """Answers by path, in the ways in which servers fail."""

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Serve or fail."""
        match self.path:
            case "/gone":
                self.send_error(404)
            case "/elsewhere":
                self.send_response(302)
                self.send_header("Location", "ftp://127.0.0.1/file")
                self.end_headers()
            case "/round":
                self.send_response(302)
                self.send_header("Location", "/round")
                self.end_headers()
            case "/cut":
                self.send_response(200)
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                self.wfile.write(b"ffff\r\nhello")
            case "/silent":
                time.sleep(1)
            case "/chunked":
                self.send_response(200)
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                self.wfile.write(b"5\r\nhello\r\n0\r\n\r\n")
            case path:
                self.send_response(200)
                self.send_header("Content-Length", str(len(BODY)))
                self.end_headers()
                self._body(path)

    def _body(self, path: str) -> None:
        if path == "/short":
            self.wfile.write(BODY[:10])
        elif path == "/drip":
            self._drip()
        else:
            self.wfile.write(BODY)

    def _drip(self) -> None:
        try:
            for _ in range(200):
                self.wfile.write(b"x")
                self.wfile.flush()
                time.sleep(0.05)
        except OSError:
            return


@pytest.fixture
def address() -> Iterator[str]:
    """Serve on loopback."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


FETCHER = HttpFetcher(Patience(attempts=1, connect_s=2, read_s=2, grace_s=0.3))


def test_a_whole_body_arrives(address: str, tmp_path: Path) -> None:
    """Its digest is returned, and its bytes are there."""
    path = tmp_path / "file"
    digest = FETCHER.download(f"{address}/whole", path, size_bytes=len(BODY), digest=None, limit_bytes=10**6)
    assert (digest, path.read_bytes()) == (Digest.of(BODY), BODY)


def test_a_chunked_body_arrives(address: str) -> None:
    """Without an announced length."""
    assert FETCHER.get(f"{address}/chunked", limit_bytes=100) == b"hello"


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/drip", "too slow"),
        ("/short", "the transfer broke off"),
        ("/cut", "the transfer broke off"),
        ("/elsewhere", "redirected to something that is not http"),
        ("/round", "redirected too often"),
        ("/silent", "no answer within the time"),
    ],
)
def test_a_server_that_misbehaves_is_a_network_failure(address: str, tmp_path: Path, path: str, words: str) -> None:
    """Dripping, cut short, silent, redirecting for ever or out of http: given up, in plain words, nothing is kept."""
    fetcher = HttpFetcher(Patience(attempts=1, connect_s=2, read_s=0.5, grace_s=0.3))
    with pytest.raises(NetworkFailure, match=words):
        fetcher.download(f"{address}{path}", tmp_path / "file", size_bytes=None, digest=None, limit_bytes=10**6)
    assert list(tmp_path.iterdir()) == []


def test_no_server_is_told_in_plain_words() -> None:
    """Nobody listens: the connection failed, and no class of a library is named."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(NetworkFailure, match=r": the connection failed\Z"):
        FETCHER.get(f"http://127.0.0.1:{port}/file", limit_bytes=10)


def test_absence_has_an_error_of_its_own(address: str) -> None:
    """404 is an answer, not a failure of the network."""
    with pytest.raises(NotFound, match="not found"):
        FETCHER.get(f"{address}/gone", limit_bytes=10)


def test_more_than_the_limit_is_not_taken(address: str) -> None:
    """The flood attack: the transfer ends at the bound."""
    with pytest.raises(NetworkFailure, match="longer than the 1000 bytes"):
        FETCHER.get(f"{address}/whole", limit_bytes=1000)


def test_other_bytes_than_were_signed_for_are_not_kept(address: str, tmp_path: Path) -> None:
    """The wrong file leaves nothing behind."""
    with pytest.raises(DigestMismatch, match="expected"):
        FETCHER.download(
            f"{address}/whole",
            tmp_path / "file",
            size_bytes=len(BODY),
            digest=Digest.of(b"another"),
            limit_bytes=10**6,
        )
    assert list(tmp_path.iterdir()) == []
