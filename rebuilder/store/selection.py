"""Which jobs a person means, as SQL."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from rebuilder.errors import UsageError
from rebuilder.model.job import JobKind, JobState
from rebuilder.store import farm_tables

_JOBS = farm_tables.jobs


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Every part that is given must hold. Empty is refused: who means all says `every`."""

    jobs: tuple[int, ...] = ()
    case: int | None = None
    name: str | None = None
    suite: str | None = None
    kind: JobKind | None = None
    state: JobState | None = None
    every: bool = False
    """Said on purpose: all jobs."""

    def __post_init__(self) -> None:
        parts = (self.case, self.name, self.suite, self.kind, self.state)
        if not (self.jobs or self.every or any(part is not None for part in parts)):
            raise UsageError("which jobs? Nothing was selected", hint="name numbers, a package, a suite or a state")

    def clause(self) -> sa.ColumnElement[bool]:
        """Say it in SQL."""
        parts: list[sa.ColumnElement[bool]] = []
        if self.jobs:
            parts.append(_JOBS.c.id.in_(self.jobs))
        for column in ("case", "name", "suite", "kind", "state"):
            value = getattr(self, column)
            if value is not None:
                parts.append(_JOBS.c[column] == value)
        return sa.and_(sa.true(), *parts)
