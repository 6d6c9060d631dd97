"""Wake-ups: what the broker carries. Signed by the coordinator, for one task, one queue, one job, once, for a while.

Celery's own signing covers the arguments alone, so that a message with another task's name, or sent again, would run.
A wake-up decides nothing: a worker that accepts one asks the coordinator for the job, and is given it or not. It is
refused all the same when it is not exactly what was signed, for whoever wrote it can write to the broker.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from rebuilder.attest import envelope
from rebuilder.attest.keys import PublicKey
from rebuilder.attest.signing import Signer
from rebuilder.errors import HostileInput, SignatureRefused, StaleInput, StorageFailure
from rebuilder.model import codec
from rebuilder.model.digest import Digest
from rebuilder.model.job import Job

TOKEN_LIMIT_BYTES = 4096
LIFETIME = timedelta(hours=6)
"""How long a wake-up may lie in a queue; what lies longer is sent again by the reconciler."""
_TOLERANCE = timedelta(hours=2)
"""How far a worker's clock may be behind the coordinator's. For one that is ahead wake-ups expire earlier, which the
reconciler makes good."""
_BUSY_S = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Wake:
    """That there is a job to be claimed, as the coordinator signs it."""

    task: str
    """Name of the Celery task that it is for."""
    queue: str
    """Name of the queue that it is put in."""
    job: int
    input: Digest | None
    """Blob of the job's task document."""
    fence: int
    """Of the job's newest lease when it was sent; whoever claims it gets a higher one."""
    expires: datetime
    nonce: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """Where a message arrived."""

    task: str
    queue: str


def make_token(job: Job, delivery: Delivery, signer: Signer, now: datetime, *, lifetime: timedelta = LIFETIME) -> str:
    """Sign a wake-up for a job, as text."""
    wake = Wake(
        task=delivery.task,
        queue=delivery.queue,
        job=job.id,
        input=job.new.input,
        fence=job.fence,
        expires=now + lifetime,
        nonce=secrets.token_hex(16),
    )
    return envelope.sign(codec.render(wake), envelope.WAKE, signer).decode("ascii")


def verify_token(token: object, delivery: Delivery, coordinator: PublicKey, nonces: Nonces, now: datetime) -> Wake:
    """Return what the coordinator signed for this place, once; raise an UntrustedError for everything else.

    1. A short text that is an envelope. 2. Signed by the coordinator's key, as a wake-up. 3. For this task and this
    queue. 4. Not expired by this clock, and not from a time to come. 5. Not seen before by this worker.
    """
    if not isinstance(token, str) or len(token) > TOKEN_LIMIT_BYTES:
        raise HostileInput(f"a wake-up is a text of at most {TOKEN_LIMIT_BYTES} characters")
    found = envelope.parse(token.encode("utf-8", "replace"))
    envelope.verify(found, (coordinator,), payload_type=envelope.WAKE)
    wake = codec.parse(found.payload, Wake)
    if (wake.task, wake.queue) != (delivery.task, delivery.queue):
        raise SignatureRefused(
            f"job {wake.job}: expected a wake-up for {delivery.task} in queue {delivery.queue}, found one for "
            f"{wake.task} in {wake.queue}",
            hint="somebody else than the coordinator writes to the broker",
        )
    if not now <= wake.expires <= now + LIFETIME + _TOLERANCE:
        raise StaleInput(
            f"job {wake.job}: a wake-up that expires at {wake.expires:%Y-%m-%d %H:%M:%S}, and it is "
            f"{now:%Y-%m-%d %H:%M:%S}",
            hint="the reconciler sends another one, if the job is still owed",
        )
    if not nonces.remember(wake.nonce, wake.expires + 2 * _TOLERANCE, now):
        raise SignatureRefused(
            f"job {wake.job}: this wake-up came before",
            hint="Celery delivers twice at times; many of these mean that somebody else writes to the broker",
        )
    return wake


class Nonces:
    """The wake-ups that this worker has seen, in a file that its processes share and that outlives them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._open() as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("CREATE TABLE IF NOT EXISTS seen (nonce TEXT PRIMARY KEY, until INTEGER NOT NULL)")
            connection.execute("CREATE INDEX IF NOT EXISTS seen_until ON seen (until)")

    def remember(self, nonce: str, until: datetime, now: datetime) -> bool:
        """Keep a nonce until then; return whether it is new. Those whose time has passed go."""
        with self._open() as connection:
            connection.execute("DELETE FROM seen WHERE until < ?", (int(now.timestamp()),))
            values = (nonce, int(until.timestamp()))
            return connection.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", values).rowcount == 1

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self._path, timeout=_BUSY_S, isolation_level=None)) as connection:
                yield connection
        except (sqlite3.Error, OSError) as error:
            raise StorageFailure(
                f"{self._path}: {error}", hint="the file remembers which wake-ups came; move it aside if it is spoilt"
            ) from error
