"""What is owed, and who holds it: claim by compare-and-set, with a fencing token that rises at each claim.

Every method is one transaction. A claim looks at the head of each queue that the worker may serve, so that its cost
does not grow with their length. A job is held by a lease; who lost it (it expired, or a person took it away) is told
`LeaseLost` and nothing that he reports counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row
from sqlalchemy.exc import IntegrityError

from rebuilder.errors import LeaseLost, UsageError
from rebuilder.model.cause import Cause
from rebuilder.model.digest import Digest
from rebuilder.model.job import (
    CONTROL_SLOT,
    Backlog,
    Job,
    JobKind,
    JobState,
    Lease,
    NewJob,
    Purpose,
    ResourceClass,
    RetryRule,
    Worker,
    retry_rule,
)
from rebuilder.store import farm_tables
from rebuilder.store.database import Database
from rebuilder.store.dialects import insert

_JOBS = farm_tables.jobs
_LEASES = farm_tables.leases
_ROOM = 8
"""How many jobs at the head of a queue a claim looks past, when they are not for this worker's fault domain."""
_JITTER = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What a worker asks for."""

    worker: Worker
    kind: JobKind
    job: int | None = None
    """A certain job, as a wake-up names it; None for the most urgent one."""


Then = Callable[[Connection, Job], None]
"""What else happens in the transaction that completes a job: the next jobs, the case's progress."""


class Jobs:
    """The ledger's jobs and leases."""

    def __init__(self, database: Database, *, random: Random | None = None) -> None:
        self._database = database
        self._random = random or Random()  # noqa: S311 - jitter is no secret

    def add(self, jobs: Iterable[NewJob], at: datetime) -> tuple[int, ...]:
        """Owe these jobs; return the numbers of those that are new. One that is there already changes nothing."""
        with self._database.write() as connection:
            return add_jobs(connection, jobs, at)

    def job(self, number: int) -> Job:
        """Return one job; raise UsageError if there is none."""
        with self._database.read() as connection:
            return _required(connection, number)

    def claim(self, offer: Offer, at: datetime, *, lease: timedelta) -> Lease | None:
        """Give a worker the most urgent job that it may do, or None.

        1. Heads of the queues that the worker may serve, without those of paused suites and used-up quotas.
        2. The most urgent one, by compare-and-set: it must still be ready, with the fence that was read.
        3. A quorum never gets two rebuilds of one fault domain: the database itself refuses the second.
        """
        if offer.kind not in offer.worker.roles or offer.worker.draining or offer.worker.revoked_at is not None:
            return None
        try:
            with self._database.write() as connection:
                for row in _heads(connection, offer, at):
                    if (taken := _take(connection, row, offer.worker, at, lease)) is not None:
                        return taken
        except IntegrityError:
            return None
        return None

    def heartbeat(self, number: int, fence: int, worker: str, at: datetime, *, lease: timedelta) -> bool:
        """Renew a lease; return whether a person wants the job stopped. Raise LeaseLost when it is not held any more."""
        with self._database.write() as connection:
            job = _held(connection, number, fence, worker)
            held = (_LEASES.c.job == number) & (_LEASES.c.fence == fence)
            connection.execute(_LEASES.update().where(held).values(heartbeat_at=at, expires_at=at + lease))
            return bool(job.cancel)

    def complete(
        self, number: int, fence: int, worker: str, *, output: Digest, at: datetime, then: Then | None = None
    ) -> Job:
        """Accept a result, once. The same report again changes nothing; a stale one raises LeaseLost."""
        with self._database.write() as connection:
            row = _row(connection, number)
            if row.state == JobState.DONE and (row.fence, row.worker, row.output) == (fence, worker, output):
                return _job(row)
            _held(connection, number, fence, worker)
            _end_lease(connection, number, fence, at, "done")
            values = {"state": JobState.DONE, "output": output, "changed_at": at, "message": "", "cause": None}
            connection.execute(_JOBS.update().where(_JOBS.c.id == number).values(**values))
            job = _required(connection, number)
            if then is not None:
                then(connection, job)
            return job

    def fail(
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

        `then` runs in the second case only.
        """
        with self._database.write() as connection:
            row = _held(connection, number, fence, worker)
            _end_lease(connection, number, fence, at, f"failed: {cause}")
            return self._after_failure(connection, row, cause, message, at, then)

    def expire(self, at: datetime, *, then: Then | None = None, limit: int = 500) -> tuple[Job, ...]:
        """Take back what was held beyond its time; each counts as a failed attempt for infrastructure's sake."""
        with self._database.write() as connection:
            lost = connection.execute(
                sa.select(_LEASES.c.job, _LEASES.c.fence, _LEASES.c.worker)
                .where(_LEASES.c.ended_at.is_(None) & (_LEASES.c.expires_at < at))
                .limit(limit)
            ).all()
            found = []
            for lease in lost:
                _end_lease(connection, lease.job, lease.fence, at, "expired")
                row = _row(connection, lease.job)
                if row.state == JobState.LEASED and row.fence == lease.fence:
                    message = f"the lease of worker {lease.worker[:16]} expired"
                    found.append(self._after_failure(connection, row, Cause.INFRASTRUCTURE, message, at, then))
        return tuple(found)

    def ripen(self, at: datetime) -> int:
        """Make ready what waited long enough; return how many."""
        due = (_JOBS.c.state == JobState.WAITING) & (_JOBS.c.not_before <= at)
        values = {"state": JobState.READY, "not_before": None, "changed_at": at, "woken_at": None}
        with self._database.write() as connection:
            return connection.execute(_JOBS.update().where(due).values(**values)).rowcount

    def to_wake(self, at: datetime, *, again_after: timedelta, limit: int = 200) -> tuple[Job, ...]:
        """Ready jobs whose workers were never woken, or long ago; noted as woken now. The most urgent come first."""
        stale = _JOBS.c.woken_at.is_(None) | (_JOBS.c.woken_at < at - again_after)
        chosen = (
            sa.select(_JOBS.c.id)
            .where((_JOBS.c.state == JobState.READY) & stale)
            .order_by(_JOBS.c.rank, _JOBS.c.id)
            .limit(limit)
        )
        with self._database.write() as connection:
            rows = connection.execute(
                _JOBS.update().where(_JOBS.c.id.in_(chosen)).values(woken_at=at).returning(*_JOBS.c)
            ).all()
        return tuple(_job(row) for row in sorted(rows, key=lambda row: (row.rank, row.id)))

    def backlog(self) -> Backlog:
        """Count what is there."""
        with self._database.read() as connection:
            states = connection.execute(sa.select(_JOBS.c.state, sa.func.count()).group_by(_JOBS.c.state)).all()
            ready = _JOBS.c.state == JobState.READY
            kinds = connection.execute(
                sa.select(_JOBS.c.kind, sa.func.count()).where(ready).group_by(_JOBS.c.kind)
            ).all()
            oldest = connection.scalar(sa.select(sa.func.min(_JOBS.c.changed_at)).where(ready))
            alive = connection.scalar(sa.select(sa.func.min(_LEASES.c.claimed_at)).where(_LEASES.c.ended_at.is_(None)))
        return Backlog(
            by_state=tuple(sorted((state, count) for state, count in states)),
            ready_by_kind=tuple(sorted((kind, count) for kind, count in kinds)),
            oldest_ready=oldest,
            oldest_lease=alive,
        )

    def find(self, wanted: Selection, *, limit: int = 200) -> tuple[Job, ...]:
        """List jobs, most urgent first."""
        query = sa.select(_JOBS).where(wanted.clause()).order_by(_JOBS.c.rank, _JOBS.c.id).limit(limit)
        with self._database.read() as connection:
            return tuple(_job(row) for row in connection.execute(query))

    def leases_of(self, number: int) -> tuple[Lease, ...]:
        """Every lease that there ever was on a job, oldest first."""
        with self._database.read() as connection:
            job = _required(connection, number)
            rows = connection.execute(sa.select(_LEASES).where(_LEASES.c.job == number).order_by(_LEASES.c.fence)).all()
        return tuple(_lease(row, job) for row in rows)

    def cancel(self, wanted: Selection, at: datetime, *, reason: str) -> int:
        """End what is not leased; ask workers to stop what is. Return how many jobs that were."""
        clause = wanted.clause()
        waiting = _JOBS.c.state.in_((JobState.READY, JobState.WAITING, JobState.HELD))
        values = {"state": JobState.CANCELLED, "message": reason, "changed_at": at}
        with self._database.write() as connection:
            ended = connection.execute(_JOBS.update().where(clause & waiting).values(**values)).rowcount
            running = _JOBS.c.state == JobState.LEASED
            asked = connection.execute(
                _JOBS.update().where(clause & running).values(cancel=True, message=reason)
            ).rowcount
        return ended + asked

    def retry(self, wanted: Selection, at: datetime) -> int:
        """Owe again what failed, was cancelled or is held or waiting, with all its attempts; return how many."""
        again = _JOBS.c.state.in_((JobState.FAILED, JobState.CANCELLED, JobState.WAITING, JobState.HELD))
        values = {"state": JobState.READY, "attempts": 0, "not_before": None, "cancel": False, "message": ""}
        with self._database.write() as connection:
            clause = wanted.clause() & again
            return connection.execute(
                _JOBS.update().where(clause).values(**values, changed_at=at, woken_at=None)
            ).rowcount

    def hold(self, wanted: Selection, at: datetime, *, reason: str) -> int:
        """Keep ready and waiting jobs from being claimed; return how many."""
        clause = wanted.clause() & _JOBS.c.state.in_((JobState.READY, JobState.WAITING))
        values = {"state": JobState.HELD, "message": reason, "changed_at": at}
        with self._database.write() as connection:
            return connection.execute(_JOBS.update().where(clause).values(**values)).rowcount

    def prioritize(self, wanted: Selection, priority: int, at: datetime) -> int:
        """Give jobs a person's own number (lower is sooner); return how many."""
        if not -1000 <= priority <= 1000:
            raise UsageError(f"priority {priority}: a number between -1000 (soonest) and 1000 is expected")
        rank = _JOBS.c.rank - _JOBS.c.priority + priority
        with self._database.write() as connection:
            return connection.execute(
                _JOBS.update().where(wanted.clause()).values(rank=rank, priority=priority, changed_at=at)
            ).rowcount

    def _after_failure(  # noqa: PLR0913 - one transition
        self, connection: Connection, row: Row[Any], cause: Cause, message: str, at: datetime, then: Then | None
    ) -> Job:
        rule = retry_rule(cause)
        again = row.attempts < rule.attempts and not row.cancel
        state = JobState.CANCELLED if row.cancel else JobState.WAITING if again else JobState.FAILED
        values = {
            "state": state,
            "cause": cause,
            "message": message[:1000],
            "changed_at": at,
            "not_before": at + self._delay(rule, row.attempts) if again else None,
        }
        connection.execute(_JOBS.update().where(_JOBS.c.id == row.id).values(**values))
        job = _required(connection, row.id)
        if state is JobState.FAILED and then is not None:
            then(connection, job)
        return job

    def _delay(self, rule: RetryRule, attempts: int) -> timedelta:
        """Exponential, with jitter, so that what failed together does not come back together."""
        delay = min(rule.first_delay_s * rule.factor ** max(attempts - 1, 0), rule.longest_delay_s)
        return timedelta(seconds=delay * (1 + _JITTER * self._random.random()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which jobs a person means; every part that is given must hold. Empty is refused."""

    jobs: tuple[int, ...] = ()
    name: str | None = None
    suite: str | None = None
    kind: JobKind | None = None
    state: JobState | None = None
    every: bool = False
    """Said on purpose: all jobs."""

    def __post_init__(self) -> None:
        if not (self.jobs or self.name or self.suite or self.kind or self.state or self.every):
            raise UsageError("which jobs? Nothing was selected", hint="name numbers, a package, a suite or a state")

    def clause(self) -> sa.ColumnElement[bool]:
        """Say it in SQL."""
        parts: list[sa.ColumnElement[bool]] = []
        if self.jobs:
            parts.append(_JOBS.c.id.in_(self.jobs))
        for column, value in (("name", self.name), ("suite", self.suite), ("kind", self.kind), ("state", self.state)):
            if value is not None:
                parts.append(_JOBS.c[column] == value)
        return sa.and_(sa.true(), *parts)


def add_jobs(connection: Connection, jobs: Iterable[NewJob], at: datetime) -> tuple[int, ...]:
    """Owe jobs in a transaction that does something else as well (see `Jobs.add`)."""
    rows = [_values(job, at) for job in jobs]
    if not rows:
        return ()
    known = {(row["queue"], row["kind"], row["resources"], row["tags"], row["suite"]) for row in rows}
    names = ("name", "kind", "resources", "tags", "suite")
    queues = insert(connection, farm_tables.queues).on_conflict_do_nothing()
    connection.execute(queues, [dict(zip(names, each, strict=True)) for each in sorted(known)])
    statement = insert(connection, _JOBS).on_conflict_do_nothing().returning(_JOBS.c.id)
    made: list[int] = []
    for start in range(0, len(rows), 500):
        made.extend(connection.execute(statement, rows[start : start + 500]).scalars())
    return tuple(made)


def queue_of(job: NewJob) -> str:
    """Name the queue that a job waits in: everything that decides who may claim it."""
    return "/".join((job.kind, job.resources, "+".join(sorted(job.tags)) or "any", job.suite))


def _values(job: NewJob, at: datetime) -> dict[str, Any]:
    return {
        "case": job.case,
        "kind": job.kind,
        "slot": job.slot,
        "target": job.target,
        "suite": job.suite,
        "name": job.name,
        "purpose": job.purpose,
        "priority": job.priority,
        "rank": job.purpose.priority + job.priority,
        "resources": job.resources,
        "tags": ",".join(sorted(job.tags)),
        "queue": queue_of(job),
        "quorum": job.quorum,
        "input": job.input,
        "state": JobState.READY,
        "attempts": 0,
        "fence": 0,
        "cancel": False,
        "message": "",
        "created_at": at,
        "changed_at": at,
    }


def _heads(connection: Connection, offer: Offer, at: datetime) -> Sequence[Row[Any]]:  # noqa: ARG001 - for symmetry
    ready = _JOBS.c.state == JobState.READY
    if offer.job is not None:
        row = connection.execute(sa.select(_JOBS).where((_JOBS.c.id == offer.job) & ready)).first()
        return [row] if row is not None and row.queue in _served(connection, offer) else []
    found: list[Row[Any]] = []
    for queue in _served(connection, offer):
        free = ready & (_JOBS.c.queue == queue) & _not_twice(offer.worker.fault_domain)
        head = sa.select(_JOBS).where(free).order_by(_JOBS.c.rank, _JOBS.c.id).limit(_ROOM)
        found.extend(connection.execute(head).all())
    return sorted(found, key=lambda row: (row.rank, row.id))


def _served(connection: Connection, offer: Offer) -> tuple[str, ...]:
    """Queues that a worker may serve now."""
    table, suites = farm_tables.queues, farm_tables.suites
    rows = connection.execute(
        sa.select(table, suites.c.paused, suites.c.quota)
        .join(suites, suites.c.suite == table.c.suite, isouter=True)
        .where(table.c.kind == offer.kind)
    ).all()
    offered = set(offer.worker.tags)
    served = []
    for row in rows:
        tags = {tag for tag in row.tags.split(",") if tag}
        if row.paused is not None or not tags <= offered or row.resources not in offer.worker.resources:
            continue
        if row.quota is not None and _running(connection, row.suite) >= row.quota:
            continue
        served.append(row.name)
    return tuple(served)


def _running(connection: Connection, suite: str) -> int:
    held = (_JOBS.c.suite == suite) & (_JOBS.c.kind == JobKind.REBUILD) & (_JOBS.c.state == JobState.LEASED)
    return int(connection.scalar(sa.select(sa.func.count()).where(held)) or 0)


def _not_twice(domain: str) -> sa.ColumnElement[bool]:
    """No rebuild of a quorum that this fault domain has its share in already."""
    other = _JOBS.alias("other")
    same = (
        (other.c.case == _JOBS.c.case)
        & (other.c.kind == JobKind.REBUILD)
        & (other.c.slot < CONTROL_SLOT)
        & (other.c.domain == domain)
        & other.c.state.in_((JobState.LEASED, JobState.DONE))
    )
    is_share = (_JOBS.c.kind == JobKind.REBUILD) & (_JOBS.c.slot < CONTROL_SLOT) & (_JOBS.c.quorum > 1)
    return ~(is_share & sa.exists().where(same))


def _take(connection: Connection, row: Row[Any], worker: Worker, at: datetime, lease: timedelta) -> Lease | None:
    fence = row.fence + 1
    still = (_JOBS.c.id == row.id) & (_JOBS.c.state == JobState.READY) & (_JOBS.c.fence == row.fence)
    values = {
        "state": JobState.LEASED,
        "fence": fence,
        "attempts": row.attempts + 1,
        "worker": worker.keyid,
        "domain": worker.fault_domain,
        "changed_at": at,
    }
    if connection.execute(_JOBS.update().where(still & _not_twice(worker.fault_domain)).values(**values)).rowcount != 1:
        return None
    held = {"job": row.id, "fence": fence, "worker": worker.keyid, "claimed_at": at, "heartbeat_at": at}
    connection.execute(_LEASES.insert().values(**held, expires_at=at + lease))
    return Lease(
        job=_required(connection, row.id), worker=worker.keyid, fence=fence, claimed_at=at, expires_at=at + lease
    )


def _held(connection: Connection, number: int, fence: int, worker: str) -> Row[Any]:
    row = _row(connection, number)
    if (row.state, row.fence, row.worker) != (JobState.LEASED, fence, worker):
        raise LeaseLost(
            f"job {number}: expected a report under fence {row.fence} ({row.state}), found one under {fence} by worker "
            f"{worker[:16]}",
            hint="the lease expired or was taken away; whoever holds the job now reports it",
        )
    return row


def _end_lease(connection: Connection, number: int, fence: int, at: datetime, ending: str) -> None:
    held = (_LEASES.c.job == number) & (_LEASES.c.fence == fence)
    connection.execute(_LEASES.update().where(held).values(ended_at=at, ending=ending))


def _row(connection: Connection, number: int) -> Row[Any]:
    """Read one job for writing: on PostgreSQL the row is locked until the transaction ends."""
    row = connection.execute(sa.select(_JOBS).where(_JOBS.c.id == number).with_for_update()).first()
    if row is None:
        raise UsageError(f"no job {number}", hint="`rebuilder jobs` lists them")
    return row


def _required(connection: Connection, number: int) -> Job:
    row = connection.execute(sa.select(_JOBS).where(_JOBS.c.id == number)).first()
    if row is None:
        raise UsageError(f"no job {number}", hint="`rebuilder jobs` lists them")
    return _job(row)


def _job(row: Row[Any]) -> Job:
    return Job(
        id=row.id,
        new=NewJob(
            kind=JobKind(row.kind),
            target=row.target,
            suite=row.suite,
            name=row.name,
            case=row.case,
            slot=row.slot,
            input=row.input,
            purpose=Purpose(row.purpose),
            priority=row.priority,
            resources=ResourceClass(row.resources),
            tags=tuple(tag for tag in row.tags.split(",") if tag),
            quorum=row.quorum,
        ),
        state=JobState(row.state),
        attempts=row.attempts,
        fence=row.fence,
        not_before=row.not_before,
        output=row.output,
        cause=Cause(row.cause) if row.cause else None,
        message=row.message,
        created_at=row.created_at,
        changed_at=row.changed_at,
    )


def _lease(row: Row[Any], job: Job) -> Lease:
    return Lease(
        job=job,
        worker=row.worker,
        fence=row.fence,
        claimed_at=row.claimed_at,
        expires_at=row.expires_at,
        ordinal=row.ordinal,
    )
