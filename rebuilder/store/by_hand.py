"""What a person does to jobs: cancel, retry, hold, prioritize. Each runs in the caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from rebuilder.errors import UsageError
from rebuilder.model.job import CaseState, JobKind, JobState
from rebuilder.store import farm_tables
from rebuilder.store.blocking import PREFIX, Block, is_blocked

_JOBS = farm_tables.jobs
_CASES = farm_tables.cases
_FINAL = tuple(state for state in JobState if state.is_final)
_ENDED = (JobState.FAILED, JobState.CANCELLED)
_STOPPED = (*_ENDED, JobState.WAITING, JobState.HELD)

Clause = sa.ColumnElement[bool]


def cancel(connection: Connection, wanted: Clause, at: datetime, reason: str) -> int:
    """End what is not leased, and ask workers to stop what is; a case of which nothing is owed is abandoned."""
    _lock(connection, wanted)
    waiting = _JOBS.c.state.in_((JobState.READY, JobState.WAITING, JobState.HELD))
    values = {"state": JobState.CANCELLED, "message": reason, "not_before": None, "changed_at": at}
    ended = connection.execute(_JOBS.update().where(wanted & waiting).values(**values)).rowcount
    running = wanted & (_JOBS.c.state == JobState.LEASED)
    asked = connection.execute(_JOBS.update().where(running).values(cancel=True, message=reason)).rowcount
    abandon_cases(connection, wanted, at)
    return ended + asked


def retry(connection: Connection, wanted: Clause, at: datetime, blocks: Sequence[Block]) -> int:
    """Owe again what stopped, with all its attempts; of several plans of a target the newest, if none is owed.

    A blocked package's jobs stay as they are: `blocking.settle` frees those that a block holds. So do jobs of which
    nothing could follow any more (`count_settled`).
    """
    again = wanted & _JOBS.c.state.in_(_STOPPED) & ~_has_newer_plan() & ~_is_settled()
    again &= ~is_blocked(_JOBS.c.name, blocks)
    numbers = connection.scalars(sa.select(_JOBS.c.id).where(again).order_by(_JOBS.c.id).with_for_update()).all()
    values = {"state": JobState.READY, "attempts": 0, "not_before": None, "cancel": False, "message": ""}
    for start in range(0, len(numbers), 500):
        these = _JOBS.c.id.in_(numbers[start : start + 500])
        connection.execute(_JOBS.update().where(these).values(**values, changed_at=at, woken_at=None))
        abandoned = _CASES.c.id.in_(sa.select(_JOBS.c.case).where(these)) & (_CASES.c.state == CaseState.ABANDONED)
        connection.execute(_CASES.update().where(abandoned).values(state=CaseState.OPEN, closed_at=None))
    return len(numbers)


def count_blocked(connection: Connection, wanted: Clause, blocks: Sequence[Block]) -> int:
    """Count what `retry` leaves alone because its package is blocked."""
    clause = wanted & _JOBS.c.state.in_(_STOPPED) & is_blocked(_JOBS.c.name, blocks)
    return connection.scalar(sa.select(sa.func.count()).select_from(_JOBS).where(clause)) or 0


def count_settled(connection: Connection, wanted: Clause) -> int:
    """Count what `retry` leaves alone because what is published of its case is decided."""
    clause = wanted & _JOBS.c.state.in_(_STOPPED) & _is_settled()
    return connection.scalar(sa.select(sa.func.count()).select_from(_JOBS).where(clause)) or 0


def hold(connection: Connection, wanted: Clause, at: datetime, reason: str) -> int:
    """Keep ready and waiting jobs from being claimed; raise UsageError for the words of a block, which frees them."""
    if reason.startswith(PREFIX):
        raise UsageError(f"a reason that begins with {PREFIX!r} is a block's", hint="say `block add`, or it otherwise")
    _lock(connection, wanted)
    clause = wanted & _JOBS.c.state.in_((JobState.READY, JobState.WAITING))
    values = {"state": JobState.HELD, "message": reason, "not_before": None, "changed_at": at}
    return connection.execute(_JOBS.update().where(clause).values(**values)).rowcount


def prioritize(connection: Connection, wanted: Clause, priority: int, at: datetime) -> int:
    """Give jobs a person's own number, in place of the one that they had."""
    if not -1000 <= priority <= 1000:
        raise UsageError(f"priority {priority}: a number between -1000 (soonest) and 1000 is expected")
    _lock(connection, wanted)
    rank = _JOBS.c.rank - _JOBS.c.priority + priority
    values = {"rank": rank, "priority": priority, "changed_at": at}
    return connection.execute(_JOBS.update().where(wanted).values(**values)).rowcount


def abandon_cases(connection: Connection, wanted: Clause, at: datetime) -> None:
    """Abandon open cases of these jobs in which one was cancelled and none is owed."""
    cancelled = sa.select(_JOBS.c.case).where(wanted & (_JOBS.c.state == JobState.CANCELLED))
    owed = _JOBS.alias("owed")
    is_owed = sa.exists().where((owed.c.case == _CASES.c.id) & owed.c.state.not_in(_FINAL))
    clause = (_CASES.c.state == CaseState.OPEN) & _CASES.c.id.in_(cancelled) & ~is_owed
    connection.execute(_CASES.update().where(clause).values(state=CaseState.ABANDONED, closed_at=at))


def _lock(connection: Connection, wanted: Clause) -> None:
    """Lock many jobs by number, as everybody does who locks more than one, so that nobody waits for each other."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(_JOBS.c.id).where(wanted).order_by(_JOBS.c.id).with_for_update()).all()


def _has_newer_plan() -> Clause:
    """Whether the target of a plan that ended is being planned, or was later: only one plan of a target is owed."""
    other = _JOBS.alias("other")
    owed = other.c.state.not_in(_FINAL)
    later = other.c.state.in_(_ENDED) & (other.c.id > _JOBS.c.id)
    same = (other.c.kind == JobKind.PLAN) & (other.c.target == _JOBS.c.target) & (other.c.id != _JOBS.c.id)
    return (_JOBS.c.kind == JobKind.PLAN) & sa.exists().where(same & (owed | later))


def _is_settled() -> Clause:
    """Whether a job's case is published, or what will be is decided: no rebuild or comparison counts any more."""
    is_closed = sa.exists().where((_CASES.c.id == _JOBS.c.case) & (_CASES.c.state == CaseState.CLOSED))
    signature = _JOBS.alias("signature")
    is_decided = sa.exists().where((signature.c.case == _JOBS.c.case) & (signature.c.kind == JobKind.SIGN))
    return is_closed | (_JOBS.c.kind.in_((JobKind.REBUILD, JobKind.COMPARE)) & is_decided)
