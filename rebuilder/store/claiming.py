"""Which job a worker gets: the heads of the queues that it may serve, and compare-and-set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row
from sqlalchemy.exc import IntegrityError
from sqlalchemy.sql.dml import ReturningUpdate

from rebuilder.model.job import CONTROL_SLOT, JobKind, JobState, Lease, Worker
from rebuilder.store import farm_tables
from rebuilder.store.job_rows import to_job, to_lease, words
from rebuilder.store.ordinals import reserve_ordinal

_JOBS = farm_tables.jobs
_LEASES = farm_tables.leases
_ROOM = 8
"""How many jobs at the head of a queue a claim looks at: others may be taking the first ones at the same time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What a worker asks for."""

    worker: Worker
    kind: JobKind
    job: int | None = None
    """A certain job, as a wake-up names it; None for the most urgent one."""


def heads(connection: Connection, offer: Offer) -> Sequence[Row[Any]]:
    """List what the worker could get now, most urgent first: the first few jobs of each queue that it may serve."""
    ready = _JOBS.c.state == JobState.READY
    free = ready & _not_twice(offer.worker.fault_domain)
    served = _served(connection, offer)
    if offer.job is not None:
        row = connection.execute(sa.select(_JOBS).where((_JOBS.c.id == offer.job) & free)).first()
        return [row] if row is not None and row.queue in served else []
    found: list[Row[Any]] = []
    for queue in served:
        head = sa.select(_JOBS).where(free & (_JOBS.c.queue == queue)).order_by(_JOBS.c.rank, _JOBS.c.id).limit(_ROOM)
        found.extend(connection.execute(head).all())
    return sorted(found, key=lambda row: (row.rank, row.id))


def take(connection: Connection, row: Row[Any], worker: Worker, at: datetime, lease: timedelta) -> Lease | None:
    """Give one job to a worker, or return None when another one was faster.

    1. Compare-and-set: the job must still be ready, under the fence that was read; nobody waits for a rival's row.
    2. The database itself refuses a second rebuild of a quorum for the same fault domain.
    3. The run number of a rebuild is reserved with the claim, so that a lost claim's number is never used again.
    """
    fence = row.fence + 1
    still = (_JOBS.c.id == row.id) & (_JOBS.c.state == JobState.READY) & (_JOBS.c.fence == row.fence)
    mine = sa.select(_JOBS.c.id).where(still).with_for_update(skip_locked=True).scalar_subquery()
    values = {
        "state": JobState.LEASED,
        "fence": fence,
        "attempts": row.attempts + 1,
        "worker": worker.keyid,
        "domain": worker.fault_domain,
        "not_before": None,
        "changed_at": at,
    }
    statement = _JOBS.update().where(_JOBS.c.id == mine).values(**values).returning(*_JOBS.c)
    taken = _alone(connection, statement) if _is_share(row) else connection.execute(statement).first()
    if taken is None:
        return None
    plan = row.plan if row.kind == JobKind.REBUILD else None
    ordinal = None if plan is None else reserve_ordinal(connection, plan, worker.keyid, at)
    held = {"job": row.id, "fence": fence, "worker": worker.keyid, "claimed_at": at, "heartbeat_at": at}
    made = _LEASES.insert().values(**held, expires_at=at + lease, ordinal=ordinal).returning(*_LEASES.c)
    return to_lease(connection.execute(made).one(), to_job(taken))


def _is_share(row: Row[Any]) -> bool:
    """Whether a job is one of several rebuilds that must be of different fault domains."""
    return bool(row.kind == JobKind.REBUILD and row.slot < CONTROL_SLOT and row.quorum > 1)


def _alone(connection: Connection, statement: ReturningUpdate[Any]) -> Row[Any] | None:
    """Run a statement that the database may refuse, without losing the transaction to it."""
    try:
        with connection.begin_nested():
            return connection.execute(statement).first()
    except IntegrityError:
        return None


def _served(connection: Connection, offer: Offer) -> tuple[str, ...]:
    """Queues that a worker may serve now: his tags and resources, no paused suite, no suite at its quota."""
    table, suites = farm_tables.queues, farm_tables.suites
    rows = connection.execute(
        sa.select(table, suites.c.paused, suites.c.quota)
        .join(suites, suites.c.suite == table.c.suite, isouter=True)
        .where(table.c.kind == offer.kind)
        .order_by(table.c.suite, table.c.name)
    ).all()
    offered, full = set(offer.worker.tags), dict[str, bool]()
    served = []
    for row in rows:
        if row.paused is not None or not set(words(row.tags)) <= offered or row.resources not in offer.worker.resources:
            continue
        if row.quota is not None and offer.kind is JobKind.REBUILD:
            if row.suite not in full:
                full[row.suite] = _is_full(connection, row.suite)
            if full[row.suite]:
                continue
        served.append(row.name)
    return tuple(served)


def _is_full(connection: Connection, suite: str) -> bool:
    """Whether a suite's quota is used up; rivals for its last place wait for each other here (on PostgreSQL)."""
    suites = farm_tables.suites
    quota = connection.scalar(sa.select(suites.c.quota).where(suites.c.suite == suite).with_for_update())
    held = (_JOBS.c.suite == suite) & (_JOBS.c.state == JobState.LEASED) & (_JOBS.c.kind == JobKind.REBUILD)
    running = connection.scalar(sa.select(sa.func.count()).select_from(_JOBS).where(held)) or 0
    return quota is not None and running >= quota


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
