"""One sync as one transaction: what suites offer is remembered, and what is due is owed. A trial leaves no trace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy.engine import Connection

from rebuilder.model.catalogue import Catalogue, Offer
from rebuilder.model.job import Purpose
from rebuilder.store import offers
from rebuilder.store.blocking import in_force
from rebuilder.store.database import Database
from rebuilder.store.due import Order, due, enqueue
from rebuilder.store.estimate import Estimate, estimate
from rebuilder.store.offers import Change


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """A suite, and what was read from it."""

    catalogue: Catalogue
    offers: Sequence[Offer] | None
    """None when the ledger has them already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Synced:
    """What a sync did, or in a trial would do."""

    changes: tuple[Change, ...]
    by_purpose: tuple[tuple[str, int], ...]
    """Jobs that were added, in the order of work."""
    added: int
    estimate: Estimate | None = None
    """Of a trial."""


class Schedule:
    """Imports suites and owes what is due."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def is_current(self, catalogue: Catalogue) -> bool:
        """Whether the ledger has imported exactly this before, so that its offers need not be read."""
        with self._database.read() as connection:
            return offers.is_current(connection, catalogue)

    def sync(self, imports: Sequence[Import], order: Order, at: datetime) -> Synced:
        """Import suites and add a plan for each release that is due."""
        with self._database.write() as connection:
            changes = tuple(_take_in(connection, each, at) for each in imports)
            wanted = _with_blocks(connection, order)
            added = enqueue(connection, wanted, at)
            if added:
                _analyze(connection, "jobs")
        by_purpose = sorted(added.items(), key=lambda each: Purpose(each[0]).priority)
        return Synced(changes=changes, by_purpose=tuple(by_purpose), added=added.total())

    def trial(self, imports: Sequence[Import], order: Order, at: datetime) -> Synced:
        """Say what `sync` would do, and what that would cost."""
        with self._database.write() as connection:
            changes = tuple(_take_in(connection, each, at) for each in imports)
            wanted = _with_blocks(connection, order)
            cost = estimate(connection, connection.execute(due(wanted, at)), order.quorum)
            connection.rollback()
        return Synced(changes=changes, by_purpose=cost.by_purpose, added=0, estimate=cost)


def _take_in(connection: Connection, given: Import, at: datetime) -> Change:
    catalogue = given.catalogue
    if given.offers is not None:
        change = offers.take_in(connection, catalogue, given.offers, at)
        _analyze(connection, "offers")
        return change
    return Change(suite=catalogue.suite, is_current=True, offered=offers.count(connection, catalogue))


def _analyze(connection: Connection, table: str) -> None:
    """Let PostgreSQL look at a table that grew by a suite: until it does, it joins as if there were a few rows."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"ANALYZE {table}")


def _with_blocks(connection: Connection, order: Order) -> Order:
    return replace(order, blocked=in_force(connection, order.blocked))
