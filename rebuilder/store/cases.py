"""Cases: one round of work on one part of one release, from its plan to its publication.

The functions run in a transaction of somebody else's, for a case moves on only with a job; `Cases` only reads.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from rebuilder.errors import UsageError
from rebuilder.model.digest import Digest
from rebuilder.model.job import Case, CaseState, Job, Purpose
from rebuilder.model.verdict import Verdict
from rebuilder.store import farm_tables
from rebuilder.store.database import Database
from rebuilder.store.dialects import insert
from rebuilder.store.job_rows import to_job

_CASES = farm_tables.cases
_JOBS = farm_tables.jobs


class Cases:
    """The ledger's cases, for reading."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def case(self, number: int) -> Case:
        """Return one case; raise UsageError if there is none."""
        with self._database.read() as connection:
            return case_of(connection, number)

    def jobs_of(self, number: int) -> tuple[Job, ...]:
        """Return the jobs of a case, oldest first."""
        with self._database.read() as connection:
            return jobs_of(connection, number)

    def find(self, *, name: str | None = None, state: CaseState | None = None, limit: int = 200) -> tuple[Case, ...]:
        """List cases, newest first."""
        query = sa.select(_CASES).order_by(_CASES.c.id.desc()).limit(limit)
        for column, value in ((_CASES.c.name, name), (_CASES.c.state, state)):
            if value is not None:
                query = query.where(column == value)
        with self._database.read() as connection:
            return tuple(_case(row) for row in connection.execute(query))


def open_case(connection: Connection, opening: Job, values: Case) -> int:
    """Open a case, or find the one that this plan job opened for the part before; return its number.

    The number in `values` does not count.
    """
    row = {
        "target": values.target,
        "suite": values.suite,
        "name": values.name,
        "version": values.version,
        "architecture": values.architecture,
        "purpose": values.purpose,
        "quorum": values.quorum,
        "state": values.state,
        "opened_by": opening.id,
        "release": values.release,
        "trust": values.trust,
        "planned": values.planned,
        "opened_at": values.opened_at,
    }
    made = insert(connection, _CASES).values(**row).on_conflict_do_nothing().returning(_CASES.c.id)
    number = connection.execute(made).scalar()
    if number is None:
        same = (_CASES.c.opened_by == opening.id) & (_CASES.c.version == values.version)
        query = sa.select(_CASES.c.id).where(same & (_CASES.c.architecture == values.architecture))
        number = connection.execute(query).scalar_one()
    return int(number)


def case_of(connection: Connection, number: int, *, lock: bool = False) -> Case:
    """Read one case. `lock` has jobs of one case end one after the other, on PostgreSQL: each sees who ended before."""
    query = sa.select(_CASES).where(_CASES.c.id == number)
    row = connection.execute(query.with_for_update() if lock else query).first()
    if row is None:
        raise UsageError(f"no case {number}", hint="`rebuilder jobs show JOB --json` names the case of a job")
    return _case(row)


def jobs_of(connection: Connection, number: int) -> tuple[Job, ...]:
    """Read the jobs of a case, oldest first."""
    rows = connection.execute(sa.select(_JOBS).where(_JOBS.c.case == number).order_by(_JOBS.c.id)).all()
    return tuple(to_job(row) for row in rows)


def conclude_case(
    connection: Connection, number: int, *, comparison: Digest | None, dossier: Digest, verdict: Verdict
) -> None:
    """Note what was concluded; its documents are signed next."""
    values = {"comparison": comparison, "dossier": dossier, "verdict": verdict}
    connection.execute(_CASES.update().where(_CASES.c.id == number).values(**values))


def close_case(connection: Connection, number: int, at: datetime, *, directory: str) -> None:
    """Note where the case is published: nothing is owed any more."""
    values = {"state": CaseState.CLOSED, "closed_at": at, "directory": directory}
    connection.execute(_CASES.update().where(_CASES.c.id == number).values(**values))


def abandon_case(connection: Connection, number: int, at: datetime) -> None:
    """Note that nothing can be published, unless a person has the job that failed tried again."""
    values = {"state": CaseState.ABANDONED, "closed_at": at}
    is_open = (_CASES.c.id == number) & (_CASES.c.state == CaseState.OPEN)
    connection.execute(_CASES.update().where(is_open).values(**values))


def _case(row: Row[Any]) -> Case:
    return Case(
        id=row.id,
        target=row.target,
        suite=row.suite,
        name=row.name,
        version=row.version,
        architecture=row.architecture,
        purpose=Purpose(row.purpose),
        quorum=row.quorum,
        state=CaseState(row.state),
        release=row.release,
        trust=row.trust,
        planned=row.planned,
        comparison=row.comparison,
        dossier=row.dossier,
        directory=row.directory,
        verdict=Verdict(row.verdict) if row.verdict else None,
        opened_at=row.opened_at,
        closed_at=row.closed_at,
    )
