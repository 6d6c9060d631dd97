"""What is not to be rebuilt now: the block list, paused suites, quotas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from rebuilder.errors import UsageError
from rebuilder.model.job import JobState
from rebuilder.store import farm_tables
from rebuilder.store.blocking import Block, fits, in_force, listed, settle
from rebuilder.store.database import Database
from rebuilder.store.dialects import insert

_BLOCKS, _SUITES, _JOBS = farm_tables.blocks, farm_tables.suites, farm_tables.jobs


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteState:
    """What was said about one suite."""

    suite: str
    paused: str | None
    """Why nothing of it is begun."""
    quota: int | None
    """How many rebuilds of it may run at once."""


class Blocks:
    """The block list and the states of suites, as the ledger has them."""

    def __init__(self, database: Database, standing: Sequence[Block] = ()) -> None:
        """Take the blocks of the settings as `standing`: they hold whatever the ledger's list says."""
        self._database = database
        self._standing = tuple(standing)

    def blocks(self) -> tuple[Block, ...]:
        """List the ledger's blocks, by pattern."""
        with self._database.read() as connection:
            return listed(connection)

    def block(self, block: Block, at: datetime) -> int:
        """Add a block, or give it another reason, and hold the jobs that wait for such packages; return how many."""
        values = {"reason": block.reason, "made_at": at}
        with self._database.write() as connection:
            statement = insert(connection, _BLOCKS).values(pattern=block.pattern, **values)
            connection.execute(statement.on_conflict_do_update(index_elements=["pattern"], set_=values))
            return settle(connection, in_force(connection, self._standing), at).held

    def unblock(self, pattern: str, at: datetime) -> int:
        """Remove a block and free the jobs that no other one holds; raise UsageError if there is none such."""
        with self._database.write() as connection:
            if not connection.execute(_BLOCKS.delete().where(_BLOCKS.c.pattern == pattern)).rowcount:
                raise UsageError(f"no block {pattern[:120]!r}", hint="`rebuilder block list` shows them")
            return settle(connection, in_force(connection, self._standing), at).freed

    def cancelled(self, pattern: str) -> int:
        """Count the cancelled jobs of the packages that a pattern names."""
        clause = (_JOBS.c.state == JobState.CANCELLED) & fits(_JOBS.c.name, (pattern,))
        with self._database.read() as connection:
            return connection.scalar(sa.select(sa.func.count()).select_from(_JOBS).where(clause)) or 0

    def suites(self) -> tuple[SuiteState, ...]:
        """List the suites about which something was said."""
        with self._database.read() as connection:
            rows = connection.execute(sa.select(_SUITES).order_by(_SUITES.c.suite))
            return tuple(SuiteState(suite=row.suite, paused=row.paused, quota=row.quota) for row in rows)

    def is_known(self, suite: str) -> bool:
        """Whether anything of a suite was ever imported or owed."""
        with self._database.read() as connection:
            columns = (farm_tables.queues.c.suite, farm_tables.imports.c.suite)
            return any(connection.scalar(sa.select(each).where(each == suite).limit(1)) for each in columns)

    def pause(self, suite: str, reason: str | None, at: datetime) -> None:
        """Begin nothing of a suite any more, for a reason; None lets it go on. What runs goes on either way."""
        with self._database.write() as connection:
            _say(connection, suite, {"paused": reason, "changed_at": at})

    def limit(self, suite: str, quota: int | None, at: datetime) -> None:
        """Let at most so many rebuilds of a suite run at once."""
        with self._database.write() as connection:
            _say(connection, suite, {"quota": quota, "changed_at": at})


def _say(connection: Connection, suite: str, values: dict[str, object]) -> None:
    statement = insert(connection, _SUITES).values(suite=suite, **values)
    connection.execute(statement.on_conflict_do_update(index_elements=["suite"], set_=values))
