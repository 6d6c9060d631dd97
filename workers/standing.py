"""The farm at a glance, as one value: what is owed, who works, what somebody must look at."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from rebuilder.model.job import Backlog
from rebuilder.store.blocks import Block, Blocks, SuiteState
from rebuilder.store.conclusions import Event
from rebuilder.store.database import Database
from rebuilder.store.jobs import Jobs
from rebuilder.store.ledger import Ledger
from rebuilder.store.workers import Workers

_EVENTS = 5
_SILENT_S = 600
"""A worker that was not heard of for so long is called silent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerCount:
    """Enrolled workers, by what they do now."""

    working: int
    draining: int
    silent: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Everything that `status` shows."""

    at: datetime
    backlog: Backlog
    workers: WorkerCount
    suites: tuple[SuiteState, ...]
    blocks: tuple[Block, ...]
    events: tuple[Event, ...]
    """The newest."""


def read_status(database: Database, at: datetime) -> Status:
    """Look at the ledger once."""
    enrolled = [worker for worker in Workers(database).every() if worker.revoked_at is None]
    silent = [
        worker for worker in enrolled if worker.seen_at is None or (at - worker.seen_at).total_seconds() > _SILENT_S
    ]
    draining = [worker for worker in enrolled if worker.draining and worker not in silent]
    blocks = Blocks(database)
    return Status(
        at=at,
        backlog=Jobs(database).backlog(),
        workers=WorkerCount(
            working=len(enrolled) - len(silent) - len(draining), draining=len(draining), silent=len(silent)
        ),
        suites=blocks.suites(),
        blocks=blocks.blocks(),
        events=Ledger(database).events()[-_EVENTS:],
    )
