"""Which blobs the ledger names: what a collector of garbage starts from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from rebuilder.model.digest import Digest
from rebuilder.model.job import CaseState, JobState
from rebuilder.store import farm_tables, tables
from rebuilder.store.database import Database

_DOCUMENTS = (
    tables.releases.c.document,
    tables.rebuilds.c.plan,
    tables.rebuilds.c.document,
    tables.rebuilds.c.log,
    tables.comparisons.c.plan,
    tables.comparisons.c.dossier,
    tables.attestations.c.digest,
    tables.withdrawals.c.digest,
    tables.index_dates.c.document,
)
_CASES = farm_tables.cases
_JOBS = farm_tables.jobs


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """Digests that the ledger holds."""

    followed: frozenset[Digest]
    """Of work that is owed or recent: whatever these documents name in turn is wanted as well."""
    documents: frozenset[Digest]
    """Of history: the documents themselves are wanted, not the large files that they tell of."""


def named_blobs(database: Database, *, finished_before: datetime | None) -> Named:
    """List what the ledger names, on one consistent state.

    Cases and jobs that ended before `finished_before` are history, of which documents remain; None: nothing is history
    yet, so everything is followed.
    """
    with database.read() as connection:
        documents = _all(connection, [sa.select(column) for column in _DOCUMENTS])
        if finished_before is None:
            return Named(followed=documents | _work(connection, sa.true(), sa.true()), documents=frozenset())
        ended = _CASES.c.state.in_((CaseState.CLOSED, CaseState.ABANDONED)) & (_CASES.c.closed_at < finished_before)
        done = _JOBS.c.state.in_([state for state in JobState if state.is_final])
        old = done & (_JOBS.c.changed_at < finished_before)
        of_an_old_case = _JOBS.c.case.in_(sa.select(_CASES.c.id).where(ended))
        without_case = _JOBS.c.case.is_(None) & old
        followed = _work(connection, ~ended | _CASES.c.closed_at.is_(None), ~(sa.or_(of_an_old_case, without_case)))
        return Named(followed=followed, documents=documents)


def _work(connection: Connection, cases: sa.ColumnElement[bool], jobs: sa.ColumnElement[bool]) -> frozenset[Digest]:
    columns = (_CASES.c.release, _CASES.c.trust, _CASES.c.planned, _CASES.c.comparison, _CASES.c.dossier)
    queries = [sa.select(column).where(cases) for column in columns]
    queries += [sa.select(column).where(jobs) for column in (_JOBS.c.input, _JOBS.c.output)]
    return _all(connection, queries)


def _all(connection: Connection, queries: list[sa.Select[Any]]) -> frozenset[Digest]:
    found: set[Digest] = set()
    for query in queries:
        found.update(digest for digest in connection.scalars(query.distinct()) if digest is not None)
    return frozenset(found)
