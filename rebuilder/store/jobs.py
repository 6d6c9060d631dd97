"""What is owed, and who holds it: claim by compare-and-set, with a fencing token that rises at each claim.

Every method is one transaction. A claim looks at the head of each queue that the worker may serve, so that its cost
does not grow with their length. A job is held by a lease; who lost it (it expired, or a person took it away) is told
`LeaseLost` and nothing that he reports counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from random import Random
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from rebuilder.errors import LeaseLost
from rebuilder.model.cause import Cause
from rebuilder.model.digest import Digest
from rebuilder.model.job import Backlog, Job, JobKind, JobState, Lease, NewJob, RetryRule, retry_rule
from rebuilder.store import by_hand, farm_tables
from rebuilder.store.blocking import Block, Settled, in_force, names_any, settle
from rebuilder.store.claiming import Offer, heads, queues, take
from rebuilder.store.database import Database
from rebuilder.store.job_rows import add_jobs, job_of, row_of, to_job, to_lease
from rebuilder.store.selection import Selection

__all__ = ["Jobs", "Offer", "Selection", "Then", "add_jobs"]

_JOBS = farm_tables.jobs
_LEASES = farm_tables.leases
_JITTER = 0.25
_ROUNDS = 16
"""How often a claim looks again when rivals took everything that it saw."""
_MESSAGE_LIMIT = 1000

_DONE = (
    _JOBS.update()
    .where(
        (_JOBS.c.id == sa.bindparam("of_job"))
        & (_JOBS.c.state == JobState.LEASED)
        & (_JOBS.c.fence == sa.bindparam("under"))
        & (_JOBS.c.worker == sa.bindparam("by"))
    )
    .values(
        state=JobState.DONE,
        output=sa.bindparam("made"),
        changed_at=sa.bindparam("now"),
        message="",
        cause=None,
        cancel=False,
    )
    .returning(*_JOBS.c)
)
"""What every completion says to the database, put together once: doing so each time cost more than the database."""
_END = (
    _LEASES.update()
    .where((_LEASES.c.job == sa.bindparam("of_job")) & (_LEASES.c.fence == sa.bindparam("under")))
    .values(ended_at=sa.bindparam("now"), ending=sa.bindparam("so"))
)

Then = Callable[[Connection, Job], None]
"""What else happens in the transaction that completes a job: the next jobs, the case's progress."""


class Jobs:
    """The ledger's jobs and leases."""

    def __init__(self, database: Database, *, random: Random | None = None, standing: Sequence[Block] = ()) -> None:
        """Take the blocks of the settings as `standing`: they hold beside those of the ledger."""
        self._database = database
        self._standing = tuple(standing)
        self._random = random or Random()  # noqa: S311 - jitter is no secret

    def add(self, jobs: Iterable[NewJob], at: datetime) -> tuple[int, ...]:
        """Owe these jobs; return the numbers of those that are new. One that is there already changes nothing."""
        with self._database.write() as connection:
            return add_jobs(connection, jobs, at)

    def job(self, number: int) -> Job:
        """Return one job; raise UsageError if there is none."""
        with self._database.read() as connection:
            return job_of(connection, number)

    def claim(self, offer: Offer, at: datetime, *, lease: timedelta) -> Lease | None:
        """Give a worker the most urgent job that it may do, or None.

        1. Heads of the queues that the worker may serve, without those of paused suites and used-up quotas. What is
           blocked among them is held first, with all else that is, and they are looked at again.
        2. The most urgent one, by compare-and-set: it must still be ready, with the fence that was read.
        3. A quorum never gets two rebuilds of one fault domain: the database itself refuses the second.
        """
        if offer.kind not in offer.worker.roles or offer.worker.draining or offer.worker.revoked_at is not None:
            return None
        for _ in range(_ROUNDS):
            with self._database.write() as connection:
                found = heads(connection, offer)
                if found and self._settle_any(connection, found, at):
                    continue
                for row in found:
                    if (taken := take(connection, row, offer.worker, at, lease)) is not None:
                        return taken
            if not found:
                return None
        return None

    def heartbeat(self, number: int, fence: int, worker: str, at: datetime, *, lease: timedelta) -> bool:
        """Renew a lease; return whether a person wants the job stopped. Raise LeaseLost when it is no longer held."""
        with self._database.write() as connection:
            row = row_of(connection, number)
            _verify_held(row, fence, worker)
            held = (_LEASES.c.job == number) & (_LEASES.c.fence == fence)
            connection.execute(_LEASES.update().where(held).values(heartbeat_at=at, expires_at=at + lease))
            return bool(row.cancel)

    def complete(  # noqa: PLR0913 - a report's parts
        self, number: int, fence: int, worker: str, *, output: Digest, at: datetime, then: Then | None = None
    ) -> Job:
        """Accept a result, once. The same report again changes nothing; a stale one raises LeaseLost."""
        with self._database.write() as connection:
            done = {"of_job": number, "under": fence, "by": worker, "made": output, "now": at}
            if (changed := connection.execute(_DONE, done).first()) is None:
                row = row_of(connection, number)
                if row.state == JobState.DONE and (row.fence, row.worker, row.output) == (fence, worker, output):
                    return to_job(row)
                raise _lost(row, fence, worker)
            _end_lease(connection, number, fence, at, "done")
            job = to_job(changed)
            if then is not None:
                then(connection, job)
            return job

    def fail(  # noqa: PLR0913 - a report's parts
        self,
        number: int,
        fence: int,
        worker: str,
        *,
        cause: Cause,
        message: str,
        at: datetime,
        then: Then | None = None,
    ) -> Job:
        """Note a failure: the job waits for another attempt as its cause's rule says, or has failed for good.

        `then` runs in the second case only. The same report again changes nothing; a stale one raises LeaseLost.
        """
        ending, message = f"failed: {cause}", message[:_MESSAGE_LIMIT]
        with self._database.write() as connection:
            row = row_of(connection, number)
            is_same = (row.fence, row.message) == (fence, message) and row.state != JobState.LEASED
            if is_same and _ended(connection, number, fence, worker) == ending:
                return to_job(row)
            _verify_held(row, fence, worker)
            _end_lease(connection, number, fence, at, ending)
            return self._after_failure(connection, row, cause, message, at, then)

    def expire(self, at: datetime, *, then: Then | None = None, limit: int = 500) -> tuple[Job, ...]:
        """Take back what was held beyond its time; each counts as a failed attempt for infrastructure's sake."""
        alive = _LEASES.c.ended_at.is_(None) & (_LEASES.c.expires_at <= at)
        query = sa.select(_LEASES.c.job, _LEASES.c.fence, _LEASES.c.worker).where(alive).order_by(_LEASES.c.job)
        found = []
        with self._database.write() as connection:
            for lease in connection.execute(query.limit(limit)).all():
                row = row_of(connection, lease.job)  # locked first, as everywhere: then the lease is looked at again
                this = alive & (_LEASES.c.job == lease.job) & (_LEASES.c.fence == lease.fence)
                ended = connection.execute(_LEASES.update().where(this).values(ended_at=at, ending="expired")).rowcount
                if ended and row.state == JobState.LEASED and row.fence == lease.fence:
                    message = f"the lease of worker {lease.worker[:16]} expired"
                    found.append(self._after_failure(connection, row, Cause.INFRASTRUCTURE, message, at, then))
        return tuple(found)

    def ripen(self, at: datetime) -> int:
        """Make ready what waited long enough; return how many."""
        due = (_JOBS.c.state == JobState.WAITING) & (_JOBS.c.not_before <= at)
        values = {"state": JobState.READY, "not_before": None, "changed_at": at, "woken_at": None}
        chosen = sa.select(_JOBS.c.id).where(due).with_for_update(skip_locked=True)
        with self._database.write() as connection:
            return connection.execute(_JOBS.update().where(_JOBS.c.id.in_(chosen)).values(**values)).rowcount

    def settle(self, at: datetime) -> Settled:
        """Hold what a block names, of the ledger or the settings; free what was held and none names any more."""
        with self._database.write() as connection:
            return settle(connection, self._blocks(connection), at)

    def to_wake(self, at: datetime, *, again_after: timedelta, most: int = 32) -> tuple[Job, ...]:
        """Jobs of which workers were never told, or long ago; noted as told now. The most urgent come first.

        Of each queue that is not paused the head alone, `most` jobs: who is woken works until the queue is empty. So no
        backlog, however long, keeps another queue's workers asleep or fills the broker while nobody reads.
        """
        with self._database.write() as connection:
            rows = [row for queue in queues(connection) for row in _told(connection, queue, at, again_after, most)]
        return tuple(to_job(row) for row in sorted(rows, key=lambda row: (row.rank, row.id)))

    def backlog(self) -> Backlog:
        """Count what is there."""
        ready = _JOBS.c.state == JobState.READY
        alive = _LEASES.c.ended_at.is_(None)
        with self._database.read() as connection:
            states = connection.execute(sa.select(_JOBS.c.state, sa.func.count()).group_by(_JOBS.c.state)).all()
            kinds = connection.execute(
                sa.select(_JOBS.c.kind, sa.func.count()).where(ready).group_by(_JOBS.c.kind)
            ).all()
            oldest = connection.scalar(sa.select(sa.func.min(_JOBS.c.changed_at)).where(ready))
            held = connection.scalar(sa.select(sa.func.min(_LEASES.c.claimed_at)).where(alive))
        return Backlog(
            by_state=tuple(sorted((state, count) for state, count in states)),
            ready_by_kind=tuple(sorted((kind, count) for kind, count in kinds)),
            oldest_ready=oldest,
            oldest_lease=held,
        )

    def find(self, wanted: Selection, *, limit: int = 200) -> tuple[Job, ...]:
        """List jobs, most urgent first."""
        query = sa.select(_JOBS).where(wanted.clause()).order_by(_JOBS.c.rank, _JOBS.c.id).limit(limit)
        with self._database.read() as connection:
            return tuple(to_job(row) for row in connection.execute(query))

    def leases_of(self, number: int) -> tuple[Lease, ...]:
        """Every lease that there ever was on a job, oldest first."""
        with self._database.read() as connection:
            job = job_of(connection, number)
            rows = connection.execute(sa.select(_LEASES).where(_LEASES.c.job == number).order_by(_LEASES.c.fence)).all()
        return tuple(to_lease(row, job) for row in rows)

    def cancel(self, wanted: Selection, at: datetime, *, reason: str) -> int:
        """End what is not leased; ask workers to stop what is. Return how many jobs that were."""
        with self._database.write() as connection:
            return by_hand.cancel(connection, wanted.clause(), at, reason)

    def retry(self, wanted: Selection, at: datetime) -> int:
        """Owe again what failed, was cancelled or is held or waiting, with all its attempts; return how many."""
        with self._database.write() as connection:
            return by_hand.retry(connection, wanted.clause(), at, self._blocks(connection))

    def blocked(self, wanted: Selection) -> int:
        """Count what `retry` leaves alone because its package is on the block list."""
        with self._database.read() as connection:
            return by_hand.count_blocked(connection, wanted.clause(), self._blocks(connection))

    def settled(self, wanted: Selection) -> int:
        """Count what `retry` leaves alone because its case is published, or will be without it."""
        with self._database.read() as connection:
            return by_hand.count_settled(connection, wanted.clause())

    def hold(self, wanted: Selection, at: datetime, *, reason: str) -> int:
        """Keep ready and waiting jobs from being claimed, until `retry`; return how many."""
        with self._database.write() as connection:
            return by_hand.hold(connection, wanted.clause(), at, reason)

    def prioritize(self, wanted: Selection, priority: int, at: datetime) -> int:
        """Give jobs a person's own number (lower is sooner); return how many."""
        with self._database.write() as connection:
            return by_hand.prioritize(connection, wanted.clause(), priority, at)

    def _blocks(self, connection: Connection) -> tuple[Block, ...]:
        return in_force(connection, self._standing)

    def _settle_any(self, connection: Connection, found: Sequence[Row[Any]], at: datetime) -> bool:
        """Whether a block names one of these jobs; then what blocks name is held."""
        blocks = self._blocks(connection)
        if not names_any((row.name for row in found), blocks):
            return False
        settle(connection, blocks, at)
        return True

    def _after_failure(  # noqa: PLR0913, PLR0917 - one transition
        self, connection: Connection, row: Row[Any], cause: Cause, message: str, at: datetime, then: Then | None
    ) -> Job:
        rule = retry_rule(cause, JobKind(row.kind))
        again = rule.is_left(row.attempts) and not row.cancel
        state = JobState.CANCELLED if row.cancel else JobState.WAITING if again else JobState.FAILED
        values = {
            "state": state,
            "cause": cause,
            "message": message,
            "changed_at": at,
            "cancel": False,
            "not_before": at + self._delay(rule, row.attempts) if again else None,
        }
        job = _changed(connection, row.id, values)
        if state is JobState.CANCELLED:
            by_hand.abandon_cases(connection, _JOBS.c.id == row.id, at)
        if state is JobState.FAILED and then is not None:
            then(connection, job)
        return job

    def _delay(self, rule: RetryRule, attempts: int) -> timedelta:
        """With jitter, so that what failed together does not come back together."""
        return timedelta(seconds=rule.delay_s(attempts) * (1 + _JITTER * self._random.random()))


def _told(connection: Connection, queue: str, at: datetime, again_after: timedelta, most: int) -> Sequence[Row[Any]]:
    """Note at the head of one queue what its workers were not told of lately."""
    ready = _JOBS.c.state == JobState.READY
    head = sa.select(_JOBS.c.id).where((_JOBS.c.queue == queue) & ready).order_by(_JOBS.c.rank, _JOBS.c.id).limit(most)
    stale = _JOBS.c.woken_at.is_(None) | (_JOBS.c.woken_at < at - again_after)
    chosen = sa.select(_JOBS.c.id).where(_JOBS.c.id.in_(head) & ready & stale).with_for_update(skip_locked=True)
    noted = _JOBS.update().where(_JOBS.c.id.in_(chosen)).values(woken_at=at).returning(*_JOBS.c)
    return connection.execute(noted).all()


def _verify_held(row: Row[Any], fence: int, worker: str) -> None:
    if (row.state, row.fence, row.worker) != (JobState.LEASED, fence, worker):
        raise _lost(row, fence, worker)


def _lost(row: Row[Any], fence: int, worker: str) -> LeaseLost:
    return LeaseLost(
        f"job {row.id}: expected a report under fence {row.fence} ({row.state}), found one under {fence} by worker "
        f"{worker[:16]}",
        hint="the lease expired or was taken away; whoever holds the job now reports it",
    )


def _changed(connection: Connection, number: int, values: Mapping[str, Any]) -> Job:
    statement = _JOBS.update().where(_JOBS.c.id == number).values(**values).returning(*_JOBS.c)
    return to_job(connection.execute(statement).one())


def _end_lease(connection: Connection, number: int, fence: int, at: datetime, ending: str) -> None:
    connection.execute(_END, {"of_job": number, "under": fence, "now": at, "so": ending})


def _ended(connection: Connection, number: int, fence: int, worker: str) -> str | None:
    this = (_LEASES.c.job == number) & (_LEASES.c.fence == fence) & (_LEASES.c.worker == worker)
    return connection.scalar(sa.select(_LEASES.c.ending).where(this))
