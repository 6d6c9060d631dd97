"""The ledger in numbers: what an operator's graphs and alerts are made of. Everything is counted in one transaction."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from rebuilder.model.job import JobState
from rebuilder.store import farm_tables, tables
from rebuilder.store.conclusions import EventKind
from rebuilder.store.database import Database
from rebuilder.store.workers import FARM_DRAINS

_JOBS = farm_tables.jobs
_LEASES = farm_tables.leases
_WORKERS = farm_tables.workers
_RECENT_LIMIT = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """How many of something, told apart by these words."""

    words: tuple[str, ...]
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Duration:
    """How long jobs of a kind took, of those that ended within the window."""

    kind: str
    count: int
    sum_s: float
    longest_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """The leases that are alive, by kind of job."""

    kind: str
    count: int
    oldest_s: float
    silent_s: float
    """Since the most silent worker's last heartbeat."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Numbers at one moment."""

    jobs: tuple[Count, ...]
    """By kind, resources, tags and state."""
    oldest_ready_s: tuple[tuple[str, float], ...]
    """By kind: how long the most patient job has been ready."""
    held: tuple[Held, ...]
    durations: tuple[Duration, ...]
    endings: tuple[Count, ...]
    """Of leases within the window, by kind and how they ended."""
    outcomes: tuple[Count, ...]
    """Of all rebuilds, by outcome."""
    verdicts: tuple[Count, ...]
    """Of all artifacts that were concluded upon, by verdict."""
    events: tuple[Count, ...]
    """Of all events, by kind."""
    workers: tuple[Count, ...]
    """By standing: `seen` within the window, `silent`, `draining`, `revoked`."""
    indices_s: tuple[tuple[str, str, float], ...]
    """By archive and suite: how long ago its signed index was read last."""


def measure(database: Database, at: datetime, *, window: timedelta) -> Measured:
    """Count; durations and endings are of the leases that ended within `window` before `at`."""
    with database.read() as connection:
        ended = _ended(connection, at - window)
        return Measured(
            jobs=_counts(connection, _JOBS.c.kind, _JOBS.c.resources, _JOBS.c.tags, _JOBS.c.state),
            oldest_ready_s=_oldest_ready(connection, at),
            held=_held(connection, at),
            durations=_durations(ended),
            endings=_endings(ended),
            outcomes=_counts(connection, tables.rebuilds.c.outcome),
            verdicts=_counts(connection, tables.verdicts.c.verdict),
            events=_events(connection),
            workers=_workers(connection, at - window),
            indices_s=_indices(connection, at),
        )


def _counts(connection: Connection, *columns: sa.Column[Any]) -> tuple[Count, ...]:
    rows = connection.execute(
        sa.select(*columns, sa.func.count().label("number")).where(columns[0].is_not(None)).group_by(*columns)
    ).all()
    found = (Count(words=tuple(str(word) for word in row[:-1]), count=row.number) for row in rows)
    return tuple(sorted(found, key=lambda count: count.words))


def _events(connection: Connection) -> tuple[Count, ...]:
    """Count every kind, also one that never was: of a number that appears as 1, nobody sees that it rose."""
    found = {kind.value: 0 for kind in EventKind}
    found |= {count.words[0]: count.count for count in _counts(connection, tables.events.c.kind)}
    return tuple(Count(words=(kind,), count=count) for kind, count in sorted(found.items()))


def _oldest_ready(connection: Connection, at: datetime) -> tuple[tuple[str, float], ...]:
    rows = connection.execute(
        sa.select(_JOBS.c.kind, sa.func.min(_JOBS.c.changed_at).label("since"))
        .where(_JOBS.c.state == JobState.READY)
        .group_by(_JOBS.c.kind)
        .order_by(_JOBS.c.kind)
    )
    return tuple((row.kind, _seconds(row.since, at)) for row in rows)


def _held(connection: Connection, at: datetime) -> tuple[Held, ...]:
    rows = connection.execute(
        sa.select(
            _JOBS.c.kind,
            sa.func.count().label("number"),
            sa.func.min(_LEASES.c.claimed_at).label("claimed_at"),
            sa.func.min(_LEASES.c.heartbeat_at).label("heartbeat_at"),
        )
        .join(_JOBS, _JOBS.c.id == _LEASES.c.job)
        .where(_LEASES.c.ended_at.is_(None))
        .group_by(_JOBS.c.kind)
        .order_by(_JOBS.c.kind)
    )
    return tuple(
        Held(
            kind=row.kind,
            count=row.number,
            oldest_s=_seconds(row.claimed_at, at),
            silent_s=_seconds(row.heartbeat_at, at),
        )
        for row in rows
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ended:
    kind: str
    ending: str
    seconds: float


def _ended(connection: Connection, since: datetime) -> list[_Ended]:
    """Newest first, and no more than a bounded number: times are text, so the database cannot subtract them."""
    rows = connection.execute(
        sa.select(_JOBS.c.kind, _LEASES.c.ending, _LEASES.c.claimed_at, _LEASES.c.ended_at)
        .join(_JOBS, _JOBS.c.id == _LEASES.c.job)
        .where(_LEASES.c.ended_at >= since)
        .order_by(_LEASES.c.ended_at.desc())
        .limit(_RECENT_LIMIT)
    )
    return [
        _Ended(kind=row.kind, ending=row.ending or "", seconds=_seconds(row.claimed_at, row.ended_at)) for row in rows
    ]


def _durations(ended: list[_Ended]) -> tuple[Duration, ...]:
    by_kind: dict[str, list[float]] = defaultdict(list)
    for each in ended:
        if each.ending == "done":
            by_kind[each.kind].append(each.seconds)
    return tuple(
        Duration(kind=kind, count=len(times), sum_s=sum(times), longest_s=max(times))
        for kind, times in sorted(by_kind.items())
    )


def _endings(ended: list[_Ended]) -> tuple[Count, ...]:
    found: dict[tuple[str, str], int] = defaultdict(int)
    for each in ended:
        found[each.kind, each.ending] += 1
    return tuple(Count(words=words, count=count) for words, count in sorted(found.items()))


_STANDINGS = sa.select(
    _WORKERS.c.seen_at, _WORKERS.c.revoked_at, sa.or_(_WORKERS.c.draining, FARM_DRAINS).label("draining")
)


def _workers(connection: Connection, since: datetime) -> tuple[Count, ...]:
    found: dict[str, int] = defaultdict(int)
    for row in connection.execute(_STANDINGS):
        if row.revoked_at is not None:
            found["revoked"] += 1
        elif row.draining:
            found["draining"] += 1
        else:
            found["seen" if row.seen_at is not None and row.seen_at >= since else "silent"] += 1
    return tuple(Count(words=(standing,), count=count) for standing, count in sorted(found.items()))


def _indices(connection: Connection, at: datetime) -> tuple[tuple[str, str, float], ...]:
    column = tables.index_dates.c
    rows = connection.execute(
        sa.select(column.archive, column.suite, column.seen_at).order_by(column.archive, column.suite)
    )
    return tuple((row.archive, row.suite, _seconds(row.seen_at, at)) for row in rows)


def _seconds(since: datetime, until: datetime) -> float:
    return max((until - since).total_seconds(), 0.0)
