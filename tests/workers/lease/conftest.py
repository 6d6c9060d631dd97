"""A desk on a real ledger, a worker, and a clock that tests move."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from rebuilder.attest.signing import KeySigner
from rebuilder.model.digest import Digest
from rebuilder.model.job import Job, JobKind, NewJob, ResourceClass, Worker
from rebuilder.store.blobs import LocalBlobs
from rebuilder.store.database import Database
from rebuilder.store.jobs import Jobs, Then
from rebuilder.store.ledger import Ledger
from workers.lease.bound import Bound
from workers.lease.desk import Desk

LEASE = timedelta(seconds=60)
EVENTS_AN_HOUR = 12


@dataclass
class Clock:
    """Tells the time that a test wants."""

    now: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))

    def __call__(self) -> datetime:
        """Tell the time."""
        return self.now

    def pass_by(self, seconds: float) -> None:
        """Move on."""
        self.now += timedelta(seconds=seconds)


def worker(signer: KeySigner, *roles: JobKind, domain: str = "rack-1") -> Worker:
    """Make an enrolled worker with that key."""
    return Worker(
        keyid=signer.public_key.keyid,
        pem=signer.public_key.pem,
        name="comparer-1",
        roles=roles or (JobKind.COMPARE,),
        tags=("amd64",),
        resources=(ResourceClass.SMALL,),
        fault_domain=domain,
        enrolled_at=datetime.now(UTC),
    )


def new_signer() -> KeySigner:
    """Make a key."""
    return KeySigner(Ed25519PrivateKey.generate())


class Nothing:
    """Nothing follows."""

    def done(self, job: Job, output: Digest) -> Then | None:
        """See Follow.done."""
        return None

    def failed(self, job: Job) -> Then | None:
        """See Follow.failed."""
        return None


@dataclass
class Office:
    """A coordinator's parts, for tests."""

    database: Database
    desk: Desk
    clock: Clock
    changed: list[Job]

    def owe(self, name: str = "demo", kind: JobKind = JobKind.COMPARE, input_: Digest | None = None) -> int:
        """Add a job; return its number."""
        job = NewJob(
            kind=kind, target=f"pkg:deb/debian/{name}@1.0-1?arch=source", suite="trixie", name=name, input=input_
        )
        (number,) = self.desk.jobs.add([job], self.clock())
        return number

    def events(self) -> list[tuple[str, str]]:
        """Give each event's kind and detail."""
        return [(event.kind.value, event.detail) for event in self.desk.ledger.events()]


@pytest.fixture
def office(tmp_path: Path) -> Office:
    """Make a coordinator's ledger, blobs and desk."""
    database = Database(tmp_path / "coordinator" / "ledger.sqlite")
    clock, changed = Clock(), list[Job]()
    desk = Desk(
        jobs=Jobs(database),
        ledger=Ledger(database),
        blobs=LocalBlobs(tmp_path / "coordinator" / "blobs"),
        follow=Nothing(),
        lease=LEASE,
        now=clock,
        bound=Bound(an_hour=EVENTS_AN_HOUR),
        changed=changed.append,
    )
    return Office(database=database, desk=desk, clock=clock, changed=changed)
