"""The lease API on loopback, served by uvicorn in a thread; and a client that signs what tests want to spoil."""

from __future__ import annotations

import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import requests
from prometheus_client import CollectorRegistry

from rebuilder.attest.signing import KeySigner
from rebuilder.model.digest import Digest
from rebuilder.model.job import JobKind
from rebuilder.store.blobs import LocalBlobs
from rebuilder.store.workers import Grant, Workers
from tests.workers.lease.conftest import Office, new_signer
from workers.lease import signature
from workers.lease.bodies import Limits
from workers.lease.client import HttpLeases, RemoteBlobs
from workers.lease.connections import make_server
from workers.lease.http import Patience, Wire
from workers.lease.server import LeaseApi
from workers.lease.signature import Message
from workers.observing import health_routes

LIMITS = Limits(
    document_bytes=20_000, document_s=1, blob_bytes=3_000_000, blob_grace_s=1, slowest_bytes_s=10_000_000, uploads=2
)
IDLE_S = 2
QUICK = Patience(connect_s=5, read_s=5, attempts=2, pause_s=0.05)


@dataclass
class Served:
    """A coordinator that answers, its parts at hand."""

    office: Office
    members: Workers
    root: Path
    base: str = ""
    coordinator: KeySigner = field(default_factory=new_signer)

    def enrolled(self, *roles: JobKind, domain: str = "rack-1") -> KeySigner:
        """Enrol a worker without asking; return its key."""
        signer = new_signer()
        token = self.token(*(roles or (JobKind.COMPARE,)), domain=domain)
        self.members.enrol(token, signer.public_key, "comparer-1", self.office.clock())
        return signer

    def token(self, *roles: JobKind, domain: str = "rack-1") -> str:
        """Make an enrolment token."""
        grant = Grant(roles=roles, fault_domain=domain, tags=("amd64",))
        now = self.office.clock()
        return self.members.make_token(grant, now, expires=now + timedelta(hours=1))

    def wire(self, signer: KeySigner, patience: Patience = QUICK) -> Wire:
        """Connect to it with a worker's key."""
        return Wire(self.base, signer, patience=patience, clock=self.office.clock)

    def leases(self, signer: KeySigner) -> HttpLeases:
        """Ask for work with a worker's key."""
        return HttpLeases(self.wire(signer))

    def blobs(self, signer: KeySigner, name: str = "cache") -> RemoteBlobs:
        """Get and put blobs with a worker's key."""
        return RemoteBlobs(self.wire(signer), LocalBlobs(self.root / name))

    def signed(
        self, signer: KeySigner, method: str, path: str, body: bytes = b"", created: datetime | None = None
    ) -> dict[str, str]:
        """Sign a request; return the fields."""
        name, _, query = path.partition("?")
        message = Message(method=method, path=name, query=query, body=Digest.of(body))
        return signature.sign(message, signer, created=created or self.office.clock(), nonce=secrets.token_hex(16))

    def send(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> requests.Response:
        """Send a request as it is."""
        with requests.Session() as session:
            session.trust_env = False
            return session.request(method, self.base + path, data=body, headers=headers, timeout=10)


@contextmanager
def serving(office: Office, root: Path, *, port: int = 0, limits: Limits = LIMITS) -> Iterator[Served]:
    """Serve the lease API as long as the context lasts."""
    served = Served(office=office, members=Workers(office.database), root=root)
    api = LeaseApi(office.desk, served.members, served.coordinator.public_key, spool=root / "spool", limits=limits)
    server = make_server(api.app(health_routes({}, CollectorRegistry())), "127.0.0.1", port, idle_s=IDLE_S)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        deadline = time.monotonic() + 20
        while not server.started and time.monotonic() < deadline:
            time.sleep(0.01)
        served.base = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        yield served
    finally:
        server.should_exit = True
        thread.join(20)


def refused(answer: requests.Response, status: int, words: str) -> None:
    """Assert the status, and that the answer is a problem in JSON with these words."""
    problem = answer.json()
    assert (answer.status_code, set(problem)) == (status, {"error", "hint"}), problem
    assert words in problem["error"]
    assert "Traceback" not in answer.text


def raw(served: Served, request: bytes) -> bytes:
    """Send bytes, and read what comes until the end or for 10 seconds."""
    host, _, port = served.base.removeprefix("http://").partition(":")
    answer = b""
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(request)
        try:
            while block := connection.recv(65536):
                answer += block
                if b"}" in answer:
                    break
        except ConnectionResetError:
            pass
    return answer
