"""Jobs and leases as rows, and back; owing jobs within a transaction that does something else as well."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from rebuilder.errors import UsageError
from rebuilder.model.cause import Cause
from rebuilder.model.job import Job, JobKind, JobState, Lease, NewJob, Purpose, ResourceClass
from rebuilder.store import farm_tables
from rebuilder.store.dialects import insert

_JOBS = farm_tables.jobs
_AT_ONCE = 500
_LARGEST = 2**31 - 1
"""What the column of a job's number can hold; PostgreSQL refuses to compare it with more."""


def add_jobs(connection: Connection, jobs: Iterable[NewJob], at: datetime) -> tuple[int, ...]:
    """Owe these jobs; return the numbers of those that are new. One that is there already changes nothing."""
    rows = [values_of(job, at) for job in jobs]
    if not rows:
        return ()
    known = {(row["queue"], row["kind"], row["resources"], row["tags"], row["suite"]) for row in rows}
    names = ("name", "kind", "resources", "tags", "suite")
    queues = insert(connection, farm_tables.queues).on_conflict_do_nothing()
    connection.execute(queues, [dict(zip(names, each, strict=True)) for each in sorted(known)])
    statement = insert(connection, _JOBS).on_conflict_do_nothing().returning(_JOBS.c.id)
    made: list[int] = []
    for start in range(0, len(rows), _AT_ONCE):
        made.extend(connection.execute(statement, rows[start : start + _AT_ONCE]).scalars())
    return tuple(sorted(made))


def queue_of(job: NewJob) -> str:
    """Name the queue that a job waits in: everything that decides who may claim it."""
    return "/".join((job.kind, job.resources, "+".join(sorted(job.tags)) or "any", job.suite))


def row_of(connection: Connection, number: int) -> Row[Any]:
    """Read one job for writing: on PostgreSQL the row is locked until the transaction ends. UsageError if absent."""
    _verify_possible(number)
    row = connection.execute(sa.select(_JOBS).where(_JOBS.c.id == number).with_for_update()).first()
    if row is None:
        raise _absent(number)
    return row


def job_of(connection: Connection, number: int) -> Job:
    """Read one job; raise UsageError if there is none."""
    _verify_possible(number)
    row = connection.execute(sa.select(_JOBS).where(_JOBS.c.id == number)).first()
    if row is None:
        raise _absent(number)
    return to_job(row)


def to_job(row: Row[Any]) -> Job:
    """Make the noun of a row."""
    return Job(
        id=row.id,
        new=NewJob(
            kind=JobKind(row.kind),
            target=row.target,
            suite=row.suite,
            name=row.name,
            case=row.case,
            slot=row.slot,
            plan=row.plan,
            input=row.input,
            purpose=Purpose(row.purpose),
            priority=row.priority,
            resources=ResourceClass(row.resources),
            tags=words(row.tags),
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


def to_lease(row: Row[Any], job: Job) -> Lease:
    """Make the noun of a lease's row."""
    return Lease(
        job=job,
        worker=row.worker,
        fence=row.fence,
        claimed_at=row.claimed_at,
        expires_at=row.expires_at,
        ordinal=row.ordinal,
    )


def words(text: str) -> tuple[str, ...]:
    """Read a column that holds several words, separated by commas."""
    return tuple(word for word in text.split(",") if word)


def _verify_possible(number: int) -> None:
    if not 0 < number <= _LARGEST:
        raise _absent(number)


def _absent(number: int) -> UsageError:
    return UsageError(f"no job {number}", hint="`rebuilder jobs list` shows them")


def values_of(job: NewJob, at: datetime) -> dict[str, Any]:
    """The row of a job that is owed from now on; raise UsageError for a tag that is no word."""
    wrong = [tag for tag in job.tags if not tag or set(tag) & set(",/+ ")]
    if wrong:
        raise UsageError(f"tag {wrong[0]!r}: a word without comma, plus, slash and space is expected")
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
        "plan": job.plan,
        "input": job.input,
        "state": JobState.READY,
        "attempts": 0,
        "fence": 0,
        "cancel": False,
        "message": "",
        "created_at": at,
        "changed_at": at,
    }
