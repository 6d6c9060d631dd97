"""The coordinator's side of the lease protocol, on the ledger: for a worker whose identity was settled before.

What a worker does that it must not do is recorded as an event, then refused.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from rebuilder.errors import HostileInput, LeaseLost, RebuilderError
from rebuilder.model.cause import Cause
from rebuilder.model.digest import Digest
from rebuilder.model.job import Job, JobKind, JobState, Lease, Worker
from rebuilder.store.blobs import BlobStore
from rebuilder.store.conclusions import Event, EventKind
from rebuilder.store.jobs import Jobs, Offer, Then
from rebuilder.store.ledger import Ledger
from workers.lease.bound import Bound
from workers.lease.messages import MESSAGE_LIMIT
from workers.lease.protocol import Claim, Forbidden, Held


class Follow(Protocol):
    """What follows from a job's end. Both are asked before the transaction, and what they return runs inside it."""

    def done(self, job: Job, output: Digest) -> Then | None:
        """Read a result and make ready what it leads to; raise to refuse it. The job may be somebody else's by now."""

    def failed(self, job: Job) -> Then | None:
        """Make ready what a failure for good leads to; most failures are none, and then nothing of it runs."""


_log = logging.getLogger(__name__)


def nobody_to_wake(job: Job) -> None:
    """For a coordinator whose workers ask by themselves."""
    del job


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """Gives out leases, and takes reports."""

    jobs: Jobs
    ledger: Ledger
    blobs: BlobStore
    follow: Follow
    lease: timedelta
    now: Callable[[], datetime]
    bound: Bound = field(default_factory=Bound)
    changed: Callable[[Job], None] = nobody_to_wake
    """Told after each accepted report, outside the transaction: the place to wake workers. It must not raise; what it
    cannot do, the reconciler does."""

    def claim(self, worker: Worker, kind: JobKind, job: int | None) -> Claim | None:
        """Give a worker a job of a role that it was enrolled for; another role is recorded and refused."""
        if kind not in worker.roles:
            detail = f"expected a claim in the roles {', '.join(worker.roles) or '(none)'}, found one for {kind}"
            self.note(EventKind.WORKER_REFUSED, _name(worker), detail, sender=worker.keyid)
            raise Forbidden(
                f"worker {_name(worker)}: {detail}", hint="roles come with the enrolment token: enrol with another one"
            )
        lease = self.jobs.claim(Offer(worker=worker, kind=kind, job=job), self.now(), lease=self.lease)
        return None if lease is None else self._claim(lease)

    def heartbeat(self, worker: Worker, held: Held) -> bool:
        """Renew a lease; return whether the job is to be stopped."""
        with self._recorded(worker):
            return self.jobs.heartbeat(held.job, held.fence, worker.keyid, self.now(), lease=self.lease)

    def done(self, worker: Worker, held: Held, output: Digest) -> None:
        """Take a result, once; the same one again changes nothing, and one that nobody could read does not count."""
        with self._recorded(worker):
            then = self._following(worker, held, output)
            job = self.jobs.complete(held.job, held.fence, worker.keyid, output=output, at=self.now(), then=then)
        self.changed(job)

    def failed(self, worker: Worker, held: Held, cause: Cause, message: str) -> None:
        """Take a failure, once; the same one again changes nothing."""
        message = _plain(message)[:MESSAGE_LIMIT]
        if self._is_repeated(worker, held, cause, message):
            return
        then = self.follow.failed(self.jobs.job(held.job))
        with self._recorded(worker):
            job = self.jobs.fail(
                held.job, held.fence, worker.keyid, cause=cause, message=message, at=self.now(), then=then
            )
        self.changed(job)

    def refused(self, worker: Worker, task: str, reason: str, job: int | None) -> None:
        """Record that a worker refused a wake-up."""
        about = "" if job is None else f" for job {job}"
        detail = f"worker {_name(worker)} refused a wake-up{about}: {reason}"
        self.note(EventKind.WAKE_REFUSED, task, detail, sender=worker.keyid)

    def upload_refused(self, worker: Worker, detail: str) -> None:
        """Record that a worker wanted to send more than it may."""
        self.note(EventKind.UPLOAD_REFUSED, _name(worker), detail, sender=worker.keyid)

    def report_refused(self, worker: Worker, place: str, detail: str) -> None:
        """Record that a worker sent what is no message, or a result that nobody could read."""
        self.note(EventKind.REPORT_REFUSED, _name(worker), f"{place}: {detail}", sender=worker.keyid)

    def note(self, kind: EventKind, subject: str, detail: str, *, sender: str) -> None:
        """Record what somebody must look at; a sender who causes too much of it is only logged."""
        now = self.now()
        if not self.bound.has_room(sender, now):
            _log.warning("not recorded, for there is too much of it: %s %r %r", kind, subject[:100], detail[:300])
            return
        subject, detail = _plain(subject)[:300], _plain(detail)[:MESSAGE_LIMIT]
        self.ledger.record_event(Event(kind=kind, subject=subject, detail=detail, at=now))

    def _following(self, worker: Worker, held: Held, output: Digest) -> Then | None:
        """Ask what follows; who does not hold the job (any more) is told that, whatever is wrong with his result."""
        try:
            if not self.blobs.has(output):
                raise HostileInput(f"job {held.job}: its result {output} is not in the blob store", hint="put it first")
            return self.follow.done(self.jobs.job(held.job), output)
        except RebuilderError:
            self.jobs.heartbeat(held.job, held.fence, worker.keyid, self.now(), lease=self.lease)
            raise

    def _claim(self, lease: Lease) -> Claim:
        return Claim(
            job=lease.job.id,
            fence=lease.fence,
            kind=lease.job.new.kind,
            target=lease.job.new.target,
            input=lease.job.new.input,
            ordinal=lease.ordinal,
            attempt=lease.job.attempts,
            expires_at=lease.expires_at,
            lease_s=self.lease.total_seconds(),
        )

    def _is_repeated(self, worker: Worker, held: Held, cause: Cause, message: str) -> bool:
        job = self.jobs.job(held.job)
        if job.state in {JobState.LEASED, JobState.DONE} or (job.fence, job.cause) != (held.fence, cause):
            return False
        leases = self.jobs.leases_of(held.job)
        return bool(leases) and leases[-1].worker == worker.keyid and job.message == message

    @contextmanager
    def _recorded(self, worker: Worker) -> Iterator[None]:
        try:
            yield
        except LeaseLost as error:
            self.note(EventKind.LEASE_REFUSED, _name(worker), str(error), sender=worker.keyid)
            raise


def _plain(text: str) -> str:
    """Text for a line: what no line has is shown as a question mark."""
    return "".join(char if char.isprintable() else "?" for char in text)


def _name(worker: Worker) -> str:
    return f"{worker.name} ({worker.keyid[:16]})"
