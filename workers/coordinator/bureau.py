"""What the coordinator has at hand when it decides what follows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from rebuilder.attest.keys import PublicKey, parse_public_key
from rebuilder.config import Settings
from rebuilder.errors import HostileInput
from rebuilder.model import codec
from rebuilder.model.digest import Digest
from rebuilder.model.job import Job, Worker
from rebuilder.store.blobs import BlobStore
from rebuilder.store.cases import Cases
from rebuilder.store.jobs import Jobs
from rebuilder.store.ledger import Ledger

Noun = TypeVar("Noun")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bureau:
    """The coordinator's ledger, blobs, and whom it knows. It holds no key that attests."""

    settings: Settings
    ledger: Ledger
    jobs: Jobs
    cases: Cases
    blobs: BlobStore
    worker: Callable[[str], Worker | None]
    """Finds an enrolled worker by key id, also a revoked one."""
    attester: PublicKey
    """The signer's public key, which every document names."""
    now: Callable[[], datetime]

    def read(self, digest: Digest | None, kind: type[Noun]) -> Noun:
        """Read a document; raise HostileInput for one that is not there or no such noun."""
        if digest is None:
            raise HostileInput(f"expected a {kind.__name__}, found none")
        return codec.parse(self.blobs.get(digest), kind)

    def write(self, noun: object) -> Digest:
        """Keep a document."""
        return self.blobs.put(codec.render(noun))

    def member(self, keyid: str) -> Worker:
        """Return a worker; raise HostileInput for a key that was never enrolled."""
        worker = self.worker(keyid)
        if worker is None:
            raise HostileInput(f"key {keyid[:16]} was never enrolled, and yet did a job")
        return worker

    def holder(self, job: Job) -> Worker:
        """Return who held a job last."""
        return self.member(self.jobs.leases_of(job.id)[-1].worker)

    def key(self, keyid: str) -> PublicKey:
        """Return a worker's public key."""
        return parse_public_key(self.member(keyid).pem.encode())
