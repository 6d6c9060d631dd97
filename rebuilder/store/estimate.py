"""What a sync will cost, from how long the ledger's runs took: an estimate, and it says how much it rests on."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from rebuilder.model.job import Purpose
from rebuilder.store import tables

_NEWEST_RUNS = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """The cost of planning and rebuilding everything that is due."""

    jobs: int
    """Plans: one a release."""
    by_purpose: tuple[tuple[str, int], ...]
    """In the order of work."""
    rebuilds: int
    """At least: one a part of a release and builder of the quorum, without controls."""
    builder_hours: float | None
    """None when no run was recorded yet."""
    known: int
    """How many of the jobs are for packages that were run before; the others count as an average run."""
    disk_bytes: int
    """What is published and what is rebuilt, without sources and environments."""


def estimate(connection: Connection, rows: Iterable[Row[Any]], quorum: int) -> Estimate:
    """Add up what is due."""
    seconds = _run_times(connection)
    average = sum(seconds.values()) / len(seconds) if seconds else None
    purposes: Counter[str] = Counter()
    parts = known = size = 0
    total_s = 0.0
    for row in rows:
        purposes[row.purpose] += 1
        parts += row.parts
        size += int(row.size_bytes)
        known += row.name in seconds
        total_s += row.parts * seconds.get(row.name, average or 0.0)
    return Estimate(
        jobs=purposes.total(),
        by_purpose=tuple((purpose.value, purposes[purpose]) for purpose in Purpose if purposes[purpose]),
        rebuilds=parts * quorum,
        builder_hours=None if average is None else round(quorum * total_s / 3600, 1),
        known=known,
        disk_bytes=size * (1 + quorum),
    )


def _run_times(connection: Connection) -> dict[str, float]:
    """How long the newest runs of each package took on average, in seconds."""
    runs, comparisons, releases = tables.rebuilds, tables.comparisons, tables.releases
    query = (
        sa.select(releases.c.name, runs.c.started_at, runs.c.finished_at)
        .join(comparisons, comparisons.c.plan == runs.c.plan)
        .join(releases, releases.c.id == comparisons.c.release)
        .where(runs.c.finished_at.is_not(None))
        .order_by(runs.c.finished_at.desc())
        .limit(_NEWEST_RUNS)
    )
    times: dict[str, list[timedelta]] = defaultdict(list)
    for name, started, finished in connection.execute(query):
        times[name].append(finished - started)
    return {name: sum(each, timedelta()).total_seconds() / len(each) for name, each in times.items()}
