"""Which quorums cannot be reached: more builders must agree than there are fault domains with a builder for the work.

Nothing fails for that: rebuilds that are left wait, for ever if nobody enrols another builder. So it has to be said.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from rebuilder.model.job import CONTROL_SLOT, JobKind, JobState, ResourceClass, Worker
from rebuilder.store import farm_tables
from rebuilder.store.ailing import is_silent
from rebuilder.store.database import Database
from rebuilder.store.job_rows import words

_JOBS = farm_tables.jobs
_WAITS = (JobState.READY, JobState.WAITING, JobState.HELD)
_TAKEN = (JobState.LEASED, JobState.DONE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a quorum asks of builders."""

    quorum: int
    resources: ResourceClass | None = None
    """None where a plan will say it."""
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Domains:
    """In how many fault domains builders for some work are."""

    live: int
    """With one that was heard of lately."""
    enrolled: int
    """Also of silent ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreachable:
    """Jobs that wait for builders in more fault domains than there are."""

    kind: JobKind
    """`rebuild`, or `plan` for what will be rebuilt when it is planned."""
    wanted: Wanted
    domains: Domains
    jobs: int


def count_domains(workers: Iterable[Worker], wanted: Wanted, at: datetime) -> Domains:
    """Count the fault domains of builders that may do what is wanted; who drains counts, for he comes back."""
    able = [worker for worker in workers if worker.revoked_at is None and _is_able(worker, wanted)]
    return Domains(live=len(_live(able, at)), enrolled=len({worker.fault_domain for worker in able}))


def find_unreachable(database: Database, workers: Sequence[Worker], at: datetime) -> tuple[Unreachable, ...]:
    """List what waits for more fault domains than have a live builder; the domains that did their share count."""
    with database.read() as connection:
        rows = connection.execute(_QUORUMS, {"waits": _WAITS}).all()
        found = [_unreachable(connection, row, workers, at) for row in rows]
    return tuple(each for each in found if each is not None)


def _unreachable(connection: Connection, row: Row[Any], workers: Sequence[Worker], at: datetime) -> Unreachable | None:
    kind = JobKind(row.kind)
    resources = ResourceClass(row.resources) if kind is JobKind.REBUILD else None
    wanted = Wanted(quorum=row.quorum, resources=resources, tags=words(row.tags))
    domains, jobs = count_domains(workers, wanted, at), row.number
    if domains.live >= wanted.quorum:
        return None
    if kind is JobKind.REBUILD:
        live = _live((worker for worker in workers if worker.revoked_at is None and _is_able(worker, wanted)), at)
        jobs = connection.scalar(_short_of(row, live)) or 0
    return Unreachable(kind=kind, wanted=wanted, domains=domains, jobs=jobs) if jobs else None


def _short_of(row: Row[Any], live: set[str]) -> sa.Select[Any]:
    """Count the waiting shares of those cases in which the live and the taken fault domains are too few together."""
    other = _JOBS.alias("other")
    gone = (
        sa.select(sa.func.count(other.c.domain.distinct()))
        .where((other.c.case == _JOBS.c.case) & (other.c.kind == JobKind.REBUILD) & (other.c.slot < CONTROL_SLOT))
        .where(other.c.state.in_(_TAKEN) & other.c.domain.not_in(sorted(live)))
        .scalar_subquery()
    )
    same = (_JOBS.c.resources == row.resources) & (_JOBS.c.tags == row.tags) & (_JOBS.c.quorum == row.quorum)
    waits = _share() & same & _JOBS.c.state.in_(_WAITS)
    return sa.select(sa.func.count()).select_from(_JOBS).where(waits & (gone + len(live) < row.quorum))


def _share() -> sa.ColumnElement[bool]:
    return (_JOBS.c.kind == JobKind.REBUILD) & (_JOBS.c.slot < CONTROL_SLOT)


def _is_able(worker: Worker, wanted: Wanted) -> bool:
    has_class = wanted.resources is None or wanted.resources in worker.resources
    return JobKind.REBUILD in worker.roles and has_class and set(wanted.tags) <= set(worker.tags)


def _live(workers: Iterable[Worker], at: datetime) -> set[str]:
    return {worker.fault_domain for worker in workers if not is_silent(worker, at)}


_WHAT = (_JOBS.c.kind, _JOBS.c.resources, _JOBS.c.tags, _JOBS.c.quorum)
_QUORUMS = (
    sa.select(*_WHAT, sa.func.count().label("number"))
    .where((_JOBS.c.quorum > 1) & ((_JOBS.c.kind == JobKind.PLAN) | _share()))
    .where(_JOBS.c.state.in_(sa.bindparam("waits", expanding=True)))
    .group_by(*_WHAT)
    .order_by(*_WHAT)
)
