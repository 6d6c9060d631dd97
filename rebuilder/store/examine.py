"""Whether a ledger is whole: the file itself, what rows name, and states that cannot be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from rebuilder.model.job import CaseState, JobKind, JobState, Purpose, ResourceClass
from rebuilder.model.verdict import Verdict
from rebuilder.store import farm_tables, tables
from rebuilder.store.database import Database

_JOBS, _LEASES, _CASES = farm_tables.jobs, farm_tables.leases, farm_tables.cases
_NAMED = 5
"""How many rows of one fault are named."""
_FINAL = tuple(state for state in JobState if state.is_final)

_WORDS: tuple[tuple[sa.Column[str], type[StrEnum]], ...] = (
    (_JOBS.c.kind, JobKind),
    (_JOBS.c.state, JobState),
    (_JOBS.c.purpose, Purpose),
    (_JOBS.c.resources, ResourceClass),
    (_CASES.c.state, CaseState),
    (_CASES.c.purpose, Purpose),
    (tables.comparisons.c.verdict, Verdict),
    (tables.verdicts.c.verdict, Verdict),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """What was found."""

    counts: tuple[tuple[str, int], ...]
    """Rows of each table."""
    faults: tuple[str, ...]


def examine(database: Database) -> Examination:
    """Read everything once, and tell what is wrong; nothing is changed."""
    with database.read() as connection:
        faults = list(_damage(connection))
        if faults:
            return Examination(counts=(), faults=tuple(faults))
        counts = tuple(
            (table.name, connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0)
            for table in _JOBS.metadata.sorted_tables
        )
        return Examination(
            counts=counts, faults=(*_orphans(connection), *_foreign(connection), *_impossible(connection))
        )


def _damage(connection: Connection) -> Iterator[str]:
    """What SQLite finds in its own file; PostgreSQL's files are its server's business."""
    if connection.dialect.name == "sqlite":
        for (line,) in connection.exec_driver_sql(f"PRAGMA integrity_check({_NAMED})"):
            if line != "ok":
                yield f"file: {line}"


def _orphans(connection: Connection) -> Iterator[str]:
    """Rows that name a row which is not there."""
    for table in _JOBS.metadata.sorted_tables:
        for key in table.foreign_keys:
            other = key.column.table.alias("other")
            absent = ~sa.exists().where(other.c[key.column.name] == key.parent)
            yield from _told(
                connection,
                f"{table.name}.{key.parent.name} names no row of {key.column.table.name}",
                sa.select(key.parent).where(key.parent.is_not(None) & absent),
            )


def _foreign(connection: Connection) -> Iterator[str]:
    """Words that are none of ours."""
    for column, kind in _WORDS:
        query = sa.select(sa.type_coerce(column, sa.Text)).where(column.not_in([each.value for each in kind]))
        yield from _told(connection, f"{column.table.name}.{column.name} is no {kind.__name__}", query.distinct())


def _impossible(connection: Connection) -> Iterator[str]:
    alive = _LEASES.c.ended_at.is_(None)
    held = alive & (_LEASES.c.job == _JOBS.c.id) & (_LEASES.c.fence == _JOBS.c.fence)
    is_leased = _JOBS.c.state == JobState.LEASED
    owed = (_JOBS.c.case == _CASES.c.id) & _JOBS.c.state.not_in(_FINAL)
    reserved = (tables.rebuilds.c.plan == _JOBS.c.plan) & (tables.rebuilds.c.builder == _LEASES.c.worker)
    queued = farm_tables.queues.c.name == _JOBS.c.queue
    job, case = sa.select(_JOBS.c.id), sa.select(_CASES.c.id)
    of_lease = sa.select(_LEASES.c.job).join(_JOBS, _JOBS.c.id == _LEASES.c.job)
    queries = {
        "job leased to nobody": job.where(is_leased & ~sa.exists().where(held)),
        "lease alive of a job that is not leased": of_lease.where(alive & ~is_leased),
        "lease alive under an old fence": of_lease.where(alive & is_leased & (_LEASES.c.fence != _JOBS.c.fence)),
        "lease under a fence to come": of_lease.where(_LEASES.c.fence > _JOBS.c.fence),
        "job done without a result": job.where((_JOBS.c.state == JobState.DONE) & _JOBS.c.output.is_(None)),
        "job of no case": job.where((_JOBS.c.kind != JobKind.PLAN) & _JOBS.c.case.is_(None)),
        "job waiting for no time": job.where((_JOBS.c.state == JobState.WAITING) & _JOBS.c.not_before.is_(None)),
        "job in a queue that nobody serves": job.where(~sa.exists().where(queued)),
        "job whose rank is not its purpose's and its own": job.where(_JOBS.c.rank != _rank()),
        "case closed without a place": case.where(
            (_CASES.c.state == CaseState.CLOSED) & (_CASES.c.dossier.is_(None) | _CASES.c.directory.is_(None))
        ),
        "case closed while something is owed": case.where(
            (_CASES.c.state == CaseState.CLOSED) & sa.exists().where(owed)
        ),
        "run number of a lease that is not reserved": of_lease.where(
            _LEASES.c.ordinal.is_not(None)
            & ~sa.exists().where(reserved & (tables.rebuilds.c.ordinal == _LEASES.c.ordinal))
        ),
    }
    for name, query in queries.items():
        yield from _told(connection, name, query)


def _rank() -> sa.ColumnElement[int]:
    purposes = {each.value: each.priority for each in Purpose}
    return sa.case(purposes, value=_JOBS.c.purpose, else_=0) + _JOBS.c.priority


def _told(connection: Connection, name: str, query: sa.Select[Any]) -> Iterator[str]:
    found = connection.scalars(query.limit(_NAMED + 1)).all()
    if found:
        more = ", …" if len(found) > _NAMED else ""
        yield f"{name}: {', '.join(str(each) for each in found[:_NAMED])}{more}"
