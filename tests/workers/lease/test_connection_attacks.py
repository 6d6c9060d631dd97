"""What a client can do to the lease API's connections: too much, too slowly, nothing at all, or no HTTP."""

from __future__ import annotations

import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from rebuilder.attest.signing import KeySigner
from rebuilder.model.digest import Digest
from rebuilder.model.job import JobState
from tests.workers.lease.conftest import Office
from tests.workers.lease.serving import LIMITS, Served, raw, refused, serving
from workers.lease.connections import CONNECTIONS, _whose

CLAIM = b'{"kind":"compare"}'


@pytest.fixture
def served(office: Office, tmp_path: Path) -> Iterator[Served]:
    """Serve a coordinator that owes a job."""
    with serving(office, tmp_path) as coordinator:
        office.owe()
        yield coordinator


@pytest.fixture
def signer(served: Served) -> KeySigner:
    """Enrol a comparer."""
    return served.enrolled()


def test_attack_oversized_body(served: Served, signer: KeySigner) -> None:
    """A document beyond the bound is refused, announced or not."""
    body = b" " * (LIMITS.document_bytes + 1)
    fields = served.signed(signer, "POST", "/v1/claim", body)
    refused(served.send("POST", "/v1/claim", body, fields), 413, f"at most {LIMITS.document_bytes}")
    chunks = b"".join(b"1000\r\n" + b" " * 0x1000 + b"\r\n" for _ in range(6)) + b"0\r\n\r\n"
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    request = f"POST /v1/claim HTTP/1.1\r\nHost: x\r\n{head}Transfer-Encoding: chunked\r\n\r\n".encode()
    assert raw(served, request + chunks).startswith(b"HTTP/1.1 413 ")


def test_attack_slow_body(served: Served, signer: KeySigner) -> None:
    """A body that drips is given up after its time, a document as well as a blob."""
    digest = Digest.of(CLAIM)
    for method, path in (("POST", "/v1/claim"), ("PUT", f"/v1/blobs/sha256/{digest.hex}")):
        fields = served.signed(signer, method, path, CLAIM)
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        started = time.monotonic()
        request = f"{method} {path} HTTP/1.1\r\nHost: x\r\n{head}Content-Length: 18\r\n\r\n".encode() + CLAIM[:3]
        assert raw(served, request).startswith(b"HTTP/1.1 408 ")
        assert time.monotonic() - started < 8
    assert not served.office.desk.blobs.has(digest)
    assert served.office.desk.jobs.job(1).state is JobState.READY


def test_attack_silent_connection(served: Served) -> None:
    """A connection on which no request is completed is closed, however it began."""
    host, _, port = served.base.removeprefix("http://").partition(":")
    beginnings = (b"", b"GET /healthz HT", b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: ")
    with ExitStack() as opened:
        connections = [
            opened.enter_context(socket.create_connection((host, int(port)), timeout=10)) for _ in beginnings
        ]
        for connection, beginning in zip(connections, beginnings, strict=True):
            connection.sendall(beginning)
        assert [connection.recv(100) for connection in connections] == [b"", b"", b""]


def test_attack_all_connections_from_one_address(served: Served) -> None:
    """Whoever opens more than the API has, and says half a header, has his own share: the next worker is served."""
    host, _, port = served.base.removeprefix("http://").partition(":")
    with ExitStack() as opened:
        for _ in range(CONNECTIONS + 14):
            connection = socket.create_connection((host, int(port)), timeout=10, source_address=("127.0.0.2", 0))
            opened.enter_context(connection)
            with suppress(ConnectionResetError, BrokenPipeError):
                connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        assert served.send("GET", "/healthz", b"", {}).status_code == 200
        # The last was one too many of its address, and is told so at once.
        with suppress(ConnectionResetError):
            assert connection.recv(100) == b""


@pytest.mark.parametrize(
    ("address", "whose"),
    [
        (None, "None"),
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
    ],
    ids=["no-address", "ipv4", "mapped", "ipv6", "same-network"],
)
def test_one_machines_addresses_count_together(address: str | None, whose: str) -> None:
    """An IPv6 network of 64 bits is one machine's to use, and a mapped address is the IPv4 one."""
    assert _whose((address, 1) if address else None) == whose


def test_attack_client_that_does_not_read(served: Served, signer: KeySigner) -> None:
    """A blob that nobody takes does not keep a connection for ever."""
    data = secrets.token_bytes(8_000_000)
    path = f"/v1/blobs/sha256/{served.office.desk.blobs.put(data).hex}"
    head = "".join(f"{name}: {value}\r\n" for name, value in served.signed(signer, "GET", path).items())
    host, _, port = served.base.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n{head}\r\n".encode())
        time.sleep(3)
        taken = 0
        try:
            while block := connection.recv(1 << 20):
                taken += len(block)
        except ConnectionResetError:
            pass
    assert taken < len(data)


def test_attack_not_http(served: Served) -> None:
    """Noise on the port is answered and forgotten; the next worker is served."""
    for noise in (b"\x16\x03\x01\x02\x00" + secrets.token_bytes(500), b"GET / HTTP/9.9\r\n\r\n", b"a" * 70_000):
        raw(served, noise)
    assert served.send("GET", "/healthz", b"", {}).status_code == 200
