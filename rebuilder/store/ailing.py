"""What does not go as it should: work that nobody may do, workers that are silent or whose jobs end badly."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from rebuilder.model.job import JobKind, JobState, ResourceClass, Worker
from rebuilder.store import farm_tables
from rebuilder.store.database import Database
from rebuilder.store.job_rows import words

_JOBS = farm_tables.jobs
_LEASES = farm_tables.leases
_SILENT = timedelta(minutes=10)
"""A worker that was not heard of for so long is called silent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unserved:
    """Jobs that are ready, and that no enrolled worker may claim: a role, a class or a tag that nobody has."""

    kind: JobKind
    resources: ResourceClass
    tags: tuple[str, ...]
    jobs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BadEndings:
    """How often a worker's leases ended otherwise than with a result."""

    worker: str
    """Key id."""
    expired: int
    failed: int


def find_unserved(database: Database, workers: Sequence[Worker]) -> tuple[Unserved, ...]:
    """List what none of these workers serves; those that drain count, for they come back."""
    columns = (_JOBS.c.kind, _JOBS.c.resources, _JOBS.c.tags)
    ready = sa.select(*columns, sa.func.count().label("number")).where(_JOBS.c.state == JobState.READY)
    with database.read() as connection:
        rows = connection.execute(ready.group_by(*columns).order_by(*columns)).all()
    found = (
        Unserved(kind=JobKind(row.kind), resources=ResourceClass(row.resources), tags=words(row.tags), jobs=row.number)
        for row in rows
    )
    return tuple(each for each in found if not any(_serves(worker, each) for worker in workers))


def is_silent(worker: Worker, at: datetime) -> bool:
    """Whether nothing was heard of a worker for ten minutes, or ever."""
    return worker.seen_at is None or at - worker.seen_at > _SILENT


def find_bad_endings(database: Database, since: datetime) -> tuple[BadEndings, ...]:
    """Count, by worker, the leases that expired or ended in a failure since then; the worst come first."""
    bad = (_LEASES.c.ended_at >= since) & (_LEASES.c.ending != "done")
    query = sa.select(_LEASES.c.worker, _LEASES.c.ending, sa.func.count().label("number")).where(bad)
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    with database.read() as connection:
        for row in connection.execute(query.group_by(_LEASES.c.worker, _LEASES.c.ending)):
            counts[row.worker][0 if row.ending == "expired" else 1] += row.number
    ordered = sorted(counts.items(), key=lambda item: (-sum(item[1]), item[0]))
    return tuple(BadEndings(worker=keyid, expired=expired, failed=failed) for keyid, (expired, failed) in ordered)


def _serves(worker: Worker, wanted: Unserved) -> bool:
    return wanted.kind in worker.roles and wanted.resources in worker.resources and set(wanted.tags) <= set(worker.tags)
