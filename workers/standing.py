"""The farm at a glance, as one value: what is owed, who works, what somebody must look at."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from rebuilder.model.job import Backlog, Job, JobState, Worker
from rebuilder.store.ailing import Unserved, find_bad_endings, find_unserved, is_silent
from rebuilder.store.blocking import Block
from rebuilder.store.blocks import Blocks, SuiteState
from rebuilder.store.conclusions import Event, EventKind
from rebuilder.store.database import Database
from rebuilder.store.jobs import Jobs, Selection
from rebuilder.store.ledger import Ledger
from rebuilder.store.quorums import Unreachable, find_unreachable
from rebuilder.store.workers import Workers

_EVENTS = 5
_AILING = 10
_FAILED = 5
_WINDOW = timedelta(hours=24)
"""Refusals and bad endings are counted over so long."""
_OTHERWISE = ""
_REASONS = 3
"""So many of one subject's are told apart, and the others counted together: nobody fills the list by his own words."""
_VARYING = re.compile(r"\b[0-9a-f]{8,}\b|\b[0-9]{4}-[0-9]{2}-[0-9]{2}\b|(?<![\w-])[0-9]+(?:\.[0-9]+)?(?![\w-])")
"""Words of a reason that differ from one refusal to the next: digests, key ids and nonces; days; numbers."""
_REFUSED = (
    EventKind.LEASE_REFUSED,
    EventKind.WORKER_REFUSED,
    EventKind.WAKE_REFUSED,
    EventKind.UPLOAD_REFUSED,
    EventKind.REPORT_REFUSED,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerCount:
    """Enrolled workers, by what they do now."""

    working: int
    draining: int
    silent: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ailing:
    """A worker that was not heard of for a while, or whose jobs end badly."""

    name: str
    keyid: str
    seen_at: datetime | None
    is_silent: bool
    expired: int
    failed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusals:
    """What was refused to somebody for one reason, how often within a day, and in which words at last."""

    kind: EventKind
    subject: str
    count: int
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Everything that `status` shows."""

    at: datetime
    backlog: Backlog
    workers: WorkerCount
    unserved: tuple[Unserved, ...]
    """Ready work that no enrolled worker may do."""
    unreachable: tuple[Unreachable, ...]
    """Work whose quorum is of more fault domains than have a live builder for it."""
    ailing: tuple[Ailing, ...]
    refusals: tuple[Refusals, ...]
    """The most recent last."""
    failed: tuple[Job, ...]
    """Some of the jobs that failed for good: what they say is what somebody must read."""
    suites: tuple[SuiteState, ...]
    blocks: tuple[Block, ...]
    events: tuple[Event, ...]
    """The newest that are no refusals."""


def read_status(database: Database, at: datetime) -> Status:
    """Look at the ledger once."""
    enrolled = [worker for worker in Workers(database).every() if worker.revoked_at is None]
    silent = [worker for worker in enrolled if is_silent(worker, at)]
    draining = [worker for worker in enrolled if worker.draining and worker not in silent]
    blocks, jobs, events = Blocks(database), Jobs(database), Ledger(database).events()
    return Status(
        at=at,
        backlog=jobs.backlog(),
        workers=WorkerCount(
            working=len(enrolled) - len(silent) - len(draining), draining=len(draining), silent=len(silent)
        ),
        unserved=find_unserved(database, enrolled),
        unreachable=find_unreachable(database, enrolled, at),
        ailing=_ailing(database, enrolled, silent, at),
        refusals=_refusals(events, at),
        failed=jobs.find(Selection(state=JobState.FAILED), limit=_FAILED),
        suites=blocks.suites(),
        blocks=blocks.blocks(),
        events=tuple(event for event in events if event.kind not in _REFUSED)[-_EVENTS:],
    )


def _ailing(
    database: Database, enrolled: Sequence[Worker], silent: Sequence[Worker], at: datetime
) -> tuple[Ailing, ...]:
    """Name those that are silent or have bad endings, the worst first."""
    endings = {each.worker: each for each in find_bad_endings(database, at - _WINDOW)}
    found = []
    for worker in enrolled:
        bad = endings.get(worker.keyid)
        if worker in silent or bad is not None:
            found.append(
                Ailing(
                    name=worker.name,
                    keyid=worker.keyid,
                    seen_at=worker.seen_at,
                    is_silent=worker in silent,
                    expired=bad.expired if bad else 0,
                    failed=bad.failed if bad else 0,
                )
            )
    return tuple(sorted(found, key=lambda each: (not each.is_silent, -each.expired - each.failed, each.name))[:_AILING])


def _refusals(events: Sequence[Event], at: datetime) -> tuple[Refusals, ...]:
    """Gather the events of the last day by who was refused what, and why: a flood of one kind hides no other."""
    found: dict[tuple[EventKind, str, str], Refusals] = {}
    reasons = defaultdict[tuple[EventKind, str], set[str]](set)
    for event in events:
        if event.kind in _REFUSED and event.at > at - _WINDOW:
            known, why = reasons[event.kind, event.subject], _VARYING.sub("…", event.detail)
            why = why if why in known or len(known) < _REASONS else _OTHERWISE
            known.add(why)
            before = found.pop((event.kind, event.subject, why), None)
            found[event.kind, event.subject, why] = Refusals(
                kind=event.kind,
                subject=event.subject,
                count=1 + (before.count if before else 0),
                detail=event.detail,
            )
    return tuple(found.values())[-_AILING:]
