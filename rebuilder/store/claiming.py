"""Which job a worker gets: the heads of the queues that it may serve, and compare-and-set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row
from sqlalchemy.exc import IntegrityError

from rebuilder.model.job import CONTROL_SLOT, JobKind, JobState, Lease, Worker
from rebuilder.store import farm_tables
from rebuilder.store.job_rows import to_job, words
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
    """List what the worker could get now, most urgent first: the first few jobs of each queue that it may serve.

    Each row has what `take` must know, and no more.
    """
    served, domain = _served(connection, offer), {"of_domain": offer.worker.fault_domain}
    if offer.job is not None:
        row = connection.execute(_CERTAIN, {"of_job": offer.job, **domain}).first()
        return [row] if row is not None and row.queue in served else []
    found: list[Row[Any]] = []
    for queue in served:
        found.extend(connection.execute(_HEAD, {"of_queue": queue, **domain}).all())
    return sorted(found, key=lambda row: (row.rank, row.id))


def take(connection: Connection, row: Row[Any], worker: Worker, at: datetime, lease: timedelta) -> Lease | None:
    """Give one job to a worker, or return None when another one was faster.

    1. Compare-and-set: the job must still be ready, under the fence that was read; nobody waits for a rival's row.
    2. The database itself refuses a second rebuild of a quorum for the same fault domain.
    3. The run number of a rebuild is reserved with the claim, so that a lost claim's number is never used again.
    """
    moment = {"of_job": row.id, "under": row.fence, "by": worker.keyid, "of_domain": worker.fault_domain, "now": at}
    taken = _alone(connection, moment) if _is_share(row) else connection.execute(_TAKE, moment).first()
    if taken is None:
        return None
    plan = row.plan if row.kind == JobKind.REBUILD else None
    ordinal = None if plan is None else reserve_ordinal(connection, plan, worker.keyid, at)
    held = {"job": row.id, "fence": taken.fence, "worker": worker.keyid, "claimed_at": at, "heartbeat_at": at}
    connection.execute(_HOLD, {**held, "expires_at": at + lease, "ordinal": ordinal})
    return Lease(
        job=to_job(taken),
        worker=worker.keyid,
        fence=taken.fence,
        claimed_at=at,
        expires_at=at + lease,
        ordinal=ordinal,
    )


def _is_share(row: Row[Any]) -> bool:
    """Whether a job is one of several rebuilds that must be of different fault domains."""
    return bool(row.kind == JobKind.REBUILD and row.slot < CONTROL_SLOT and row.quorum > 1)


def _alone(connection: Connection, moment: Mapping[str, Any]) -> Row[Any] | None:
    """Take a job that the database may refuse, without losing the transaction to it."""
    try:
        with connection.begin_nested():
            return connection.execute(_TAKE, moment).first()
    except IntegrityError:
        return None


def _served(connection: Connection, offer: Offer) -> tuple[str, ...]:
    """Queues that a worker may serve now: his tags and resources, no paused suite, no suite at its quota."""
    rows = connection.execute(_QUEUES, {"of_kind": offer.kind}).all()
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


def queues(connection: Connection) -> tuple[str, ...]:
    """Every queue that jobs were ever in, without those of paused suites."""
    rows = connection.execute(sa.select(_TABLE.c.name, _SUITES.c.paused).select_from(_WITH_SUITES)).all()
    return tuple(row.name for row in rows if row.paused is None)


def _is_full(connection: Connection, suite: str) -> bool:
    """Whether a suite's quota is used up; rivals for its last place wait for each other here (on PostgreSQL)."""
    suites = farm_tables.suites
    quota = connection.scalar(sa.select(suites.c.quota).where(suites.c.suite == suite).with_for_update())
    held = (_JOBS.c.suite == suite) & (_JOBS.c.state == JobState.LEASED) & (_JOBS.c.kind == JobKind.REBUILD)
    running = connection.scalar(sa.select(sa.func.count()).select_from(_JOBS).where(held)) or 0
    return quota is not None and running >= quota


def _not_twice() -> sa.ColumnElement[bool]:
    """No rebuild of a quorum that the asking fault domain has its share in already."""
    other = _JOBS.alias("other")
    same = (
        (other.c.case == _JOBS.c.case)
        & (other.c.kind == JobKind.REBUILD)
        & (other.c.slot < CONTROL_SLOT)
        & (other.c.domain == sa.bindparam("of_domain"))
        & other.c.state.in_((JobState.LEASED, JobState.DONE))
    )
    is_share = (_JOBS.c.kind == JobKind.REBUILD) & (_JOBS.c.slot < CONTROL_SLOT) & (_JOBS.c.quorum > 1)
    return ~(is_share & sa.exists().where(same))


# What every claim says to the database, put together once: doing so at each claim cost more than the database.
_SUITES, _TABLE = farm_tables.suites, farm_tables.queues
_WITH_SUITES = _TABLE.join(_SUITES, _SUITES.c.suite == _TABLE.c.suite, isouter=True)
_QUEUES = (
    sa.select(_TABLE, _SUITES.c.paused, _SUITES.c.quota)
    .select_from(_WITH_SUITES)
    .where(_TABLE.c.kind == sa.bindparam("of_kind"))
    .order_by(_TABLE.c.suite, _TABLE.c.name)
)
_SEEN = tuple(_JOBS.c[name] for name in ("id", "fence", "rank", "queue", "kind", "slot", "quorum", "plan", "name"))
_FREE = sa.select(*_SEEN).where((_JOBS.c.state == JobState.READY) & _not_twice())
_CERTAIN = _FREE.where(_JOBS.c.id == sa.bindparam("of_job"))
_HEAD = _FREE.where(_JOBS.c.queue == sa.bindparam("of_queue")).order_by(_JOBS.c.rank, _JOBS.c.id).limit(_ROOM)
_STILL = sa.select(_JOBS.c.id).where(
    (_JOBS.c.id == sa.bindparam("of_job"))
    & (_JOBS.c.state == JobState.READY)
    & (_JOBS.c.fence == sa.bindparam("under"))
)
_TAKE = (
    _JOBS.update()
    .where(_JOBS.c.id == _STILL.with_for_update(skip_locked=True).scalar_subquery())
    .values(
        state=JobState.LEASED,
        fence=_JOBS.c.fence + 1,
        attempts=_JOBS.c.attempts + 1,
        worker=sa.bindparam("by"),
        domain=sa.bindparam("of_domain"),
        not_before=None,
        changed_at=sa.bindparam("now"),
    )
    .returning(*_JOBS.c)
)
_HOLD = _LEASES.insert()
