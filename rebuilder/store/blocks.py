"""What is not to be rebuilt now: the block list, paused suites, quotas."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from rebuilder.errors import UsageError
from rebuilder.model.job import JobState
from rebuilder.store import farm_tables
from rebuilder.store.database import Database
from rebuilder.store.dialects import insert

_BLOCKS, _SUITES, _JOBS = farm_tables.blocks, farm_tables.suites, farm_tables.jobs
_ESCAPE = "\\"


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Packages that are not rebuilt, and why."""

    pattern: str
    """Of source package names: `*` stands for any characters, `?` for one."""
    reason: str

    @property
    def message(self) -> str:
        """What a job that it holds says."""
        return f"blocked: {self.reason}"


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

    def __init__(self, database: Database) -> None:
        self._database = database

    def blocks(self) -> tuple[Block, ...]:
        """List the blocks, by pattern."""
        with self._database.read() as connection:
            rows = connection.execute(sa.select(_BLOCKS).order_by(_BLOCKS.c.pattern))
            return tuple(Block(pattern=row.pattern, reason=row.reason) for row in rows)

    def block(self, block: Block, at: datetime) -> int:
        """Add a block, and hold the jobs that wait for such packages; return how many that are."""
        waits = _JOBS.c.state.in_((JobState.READY, JobState.WAITING)) & fits(_JOBS.c.name, (block.pattern,))
        values = {"reason": block.reason, "made_at": at}
        with self._database.write() as connection:
            statement = insert(connection, _BLOCKS).values(pattern=block.pattern, **values)
            connection.execute(statement.on_conflict_do_update(index_elements=["pattern"], set_=values))
            held = {"state": JobState.HELD, "message": block.message, "changed_at": at}
            return connection.execute(_JOBS.update().where(waits).values(**held)).rowcount

    def unblock(self, pattern: str, at: datetime) -> int:
        """Remove a block and free the jobs that it holds; raise UsageError if there is none by that pattern."""
        with self._database.write() as connection:
            row = connection.execute(
                _BLOCKS.delete().where(_BLOCKS.c.pattern == pattern).returning(_BLOCKS.c.reason)
            ).first()
            if row is None:
                raise UsageError(f"no block {pattern[:120]!r}", hint="`rebuilder block list` shows them")
            block = Block(pattern=pattern, reason=row.reason)
            held = (_JOBS.c.state == JobState.HELD) & (_JOBS.c.message == block.message)
            free = {"state": JobState.READY, "message": "", "not_before": None, "woken_at": None, "changed_at": at}
            clause = held & fits(_JOBS.c.name, (pattern,))
            return connection.execute(_JOBS.update().where(clause).values(**free)).rowcount

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


def blocked(connection: Connection) -> sa.ColumnElement[bool]:
    """Say in SQL that a job is of a package on the block list."""
    return fits(_JOBS.c.name, connection.scalars(sa.select(_BLOCKS.c.pattern)).all())


def fits(column: sa.ColumnElement[str], patterns: Iterable[str]) -> sa.ColumnElement[bool]:
    """Say in SQL that a name is named by one of the patterns."""
    return sa.or_(sa.false(), *(column.like(_like(pattern), escape=_ESCAPE) for pattern in patterns))


def _like(pattern: str) -> str:
    for char in (_ESCAPE, "%", "_"):
        pattern = pattern.replace(char, _ESCAPE + char)
    return pattern.replace("*", "%").replace("?", "_")


def _say(connection: Connection, suite: str, values: dict[str, object]) -> None:
    statement = insert(connection, _SUITES).values(suite=suite, **values)
    connection.execute(statement.on_conflict_do_update(index_elements=["suite"], set_=values))
