"""Which packages are blocked, and the jobs that are held for it: by the ledger's list, and by the settings'.

A job that a block holds is `held` with a message that begins so. Nobody but `settle` holds or frees one in that way,
and it always looks at all blocks: what one of two lets go, the other still holds. Claims ask as well (`names_any`), so
that whatever way a job of a blocked package came to be ready, it is not begun.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from rebuilder.model.job import JobState
from rebuilder.store import farm_tables

_BLOCKS, _JOBS = farm_tables.blocks, farm_tables.jobs
_LISTED = sa.select(_BLOCKS.c.pattern, _BLOCKS.c.reason).order_by(_BLOCKS.c.pattern)
_ESCAPE = "\\"
PREFIX = "blocked: "
"""How a message begins that a block wrote."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Packages that are not rebuilt, and why."""

    pattern: str
    """Of source package names: `*` stands for any characters, `?` for one."""
    reason: str
    unless: tuple[str, ...] = ()
    """Patterns of names that it leaves out: in the settings the first rule that fits holds."""

    @property
    def message(self) -> str:
        """What a job that it holds says."""
        return f"{PREFIX}{self.reason}"

    def names(self, package: str) -> bool:
        """Whether it is about a package."""
        left_out = any(fnmatchcase(package, each) for each in self.unless)
        return fnmatchcase(package, self.pattern) and not left_out

    def clause(self, column: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
        """Say in SQL that it is about the package of that name."""
        return fits(column, (self.pattern,)) & ~fits(column, self.unless)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """How many jobs were held, and how many let go on."""

    held: int
    freed: int


def listed(connection: Connection) -> tuple[Block, ...]:
    """Read the ledger's blocks, by pattern."""
    return tuple(Block(pattern=row.pattern, reason=row.reason) for row in connection.execute(_LISTED))


def in_force(connection: Connection, standing: Sequence[Block]) -> tuple[Block, ...]:
    """Give all blocks: those of the settings, then the ledger's."""
    return (*standing, *listed(connection))


def is_blocked(column: sa.ColumnElement[str], blocks: Iterable[Block]) -> sa.ColumnElement[bool]:
    """Say in SQL that one of the blocks is about the package of that name."""
    return sa.or_(sa.false(), *(block.clause(column) for block in blocks))


def names_any(packages: Iterable[str], blocks: Sequence[Block]) -> bool:
    """Whether one of the packages is blocked."""
    return bool(blocks) and any(block.names(package) for package in packages for block in blocks)


def settle(connection: Connection, blocks: Sequence[Block], at: datetime) -> Settled:
    """Hold what waits and is blocked; free what blocks held and none does any more. What is locked is left."""
    ours = (_JOBS.c.state == JobState.HELD) & _JOBS.c.message.startswith(PREFIX, autoescape=True)
    free = {"state": JobState.READY, "message": "", "not_before": None, "woken_at": None, "changed_at": at}
    if not blocks:
        return Settled(held=0, freed=_change(connection, ours, free))
    why = sa.case(*((block.clause(_JOBS.c.name), block.message) for block in blocks), else_=None)
    waits = _JOBS.c.state.in_((JobState.READY, JobState.WAITING))
    hold = {"state": JobState.HELD, "message": why, "not_before": None, "changed_at": at}
    held = _change(connection, waits & why.is_not(None), hold)
    _change(connection, ours & (_JOBS.c.message != why), {"message": why})
    return Settled(held=held, freed=_change(connection, ours & why.is_(None), free))


def _change(connection: Connection, which: sa.ColumnElement[bool], values: Mapping[str, Any]) -> int:
    chosen = sa.select(_JOBS.c.id).where(which).order_by(_JOBS.c.id).with_for_update(skip_locked=True)
    return connection.execute(_JOBS.update().where(_JOBS.c.id.in_(chosen)).values(**values)).rowcount


def fits(column: sa.ColumnElement[str], patterns: Iterable[str]) -> sa.ColumnElement[bool]:
    """Say in SQL that a name is named by one of the patterns."""
    return sa.or_(sa.false(), *(column.like(_like(pattern), escape=_ESCAPE) for pattern in patterns))


def _like(pattern: str) -> str:
    for char in (_ESCAPE, "%", "_"):
        pattern = pattern.replace(char, _ESCAPE + char)
    return pattern.replace("*", "%").replace("?", "_")
