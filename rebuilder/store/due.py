"""Which of the offered releases are to be planned now, why, and in which order: one query over the ledger.

A release was *tried* when it was last concluded, or when the newest plan for it ended. It is due

- when it was never tried, or its files changed since: as a security update, a new upload (it came after the suite's
  first import), or as never built;
- when its newest decided verdict is worse than the one before, and that is a while ago: as a regression;
- when it was tried long ago: as a re-check.

Nothing that is owed already is due, and nothing that a block names.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from rebuilder.model.job import JobKind, JobState, NewJob, Purpose
from rebuilder.model.lineage import base_suite
from rebuilder.model.verdict import Verdict
from rebuilder.store import farm_tables, tables
from rebuilder.store.blocking import Block, is_blocked
from rebuilder.store.dialects import insert
from rebuilder.store.job_rows import queue_of, values_of

_OFFERS, _IMPORTS, _JOBS = farm_tables.offers, farm_tables.imports, farm_tables.jobs
_OPEN = (JobState.READY, JobState.WAITING, JobState.LEASED, JobState.HELD)
_ENDED = (JobState.DONE, JobState.FAILED, JobState.CANCELLED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ages:
    """After how long something is looked at again."""

    recheck: timedelta
    regression: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What to plan."""

    suites: Mapping[str, Ages]
    architectures: tuple[str, ...]
    quorum: int
    blocked: tuple[Block, ...] = ()
    limit: int | None = None
    """At most so many, the most urgent ones."""


def due(order: Order, at: datetime) -> sa.Select[Any]:
    """Choose what is due: suite, name, target, purpose, rank, parts and size, in the order of work."""
    offered, tried, owed, worse = _offered(order), _tried(order), _owed(order), _worse(order)
    again = {suite: at - ages.recheck for suite, ages in order.suites.items()}
    worse_again = {suite: at - ages.regression for suite, ages in order.suites.items()}
    untried = tried.c.at.is_(None) | (tried.c.at < offered.c.changed_at)
    purpose = sa.case(
        (untried & (offered.c.is_security == 1), Purpose.SECURITY.value),
        (untried & ((offered.c.is_new == 1) | offered.c.changed_at.is_not(None)), Purpose.NEW.value),
        (untried, Purpose.NEVER_BUILT.value),
        (
            worse.c.target.is_not(None) & (tried.c.at <= _by_suite(offered.c.suite, worse_again)),
            Purpose.REGRESSION.value,
        ),
        (tried.c.at <= _by_suite(offered.c.suite, again), Purpose.RECHECK.value),
    )
    blocked = is_blocked(offered.c.name, order.blocked)
    chosen = (
        sa.select(
            offered.c.suite,
            offered.c.name,
            offered.c.target,
            offered.c.parts,
            offered.c.size_bytes,
            purpose.label("purpose"),
            tried.c.at.label("tried_at"),
        )
        .select_from(offered)
        .outerjoin(owed, owed.c.target == offered.c.target)
        .outerjoin(tried, tried.c.target == offered.c.target)
        .outerjoin(worse, worse.c.target == offered.c.target)
        .where(owed.c.job.is_(None) & ~blocked & purpose.is_not(None))
        .subquery("chosen")
    )
    rank = sa.case({each.value: each.priority for each in Purpose}, value=chosen.c.purpose)
    query = sa.select(chosen, rank.label("rank")).order_by(rank, chosen.c.tried_at, chosen.c.suite, chosen.c.name)
    return query if order.limit is None else query.limit(order.limit)


def enqueue(connection: Connection, order: Order, at: datetime) -> Counter[str]:
    """Owe a plan for everything that is due; return for which purposes they were added."""
    wanted = due(order, at).subquery("wanted")
    samples = {
        suite: NewJob(kind=JobKind.PLAN, target="", suite=suite, name="", quorum=order.quorum) for suite in order.suites
    }
    for sample in samples.values():
        queue = {"name": queue_of(sample), "kind": sample.kind, "resources": sample.resources, "suite": sample.suite}
        connection.execute(insert(connection, farm_tables.queues).values(**queue, tags="").on_conflict_do_nothing())
    values: dict[str, sa.ColumnElement[Any]] = {
        name: sa.literal(value, _JOBS.c[name].type)
        for name, value in values_of(next(iter(samples.values())), at).items()
    }
    values |= {name: wanted.c[name] for name in ("suite", "name", "target", "purpose", "rank")}
    values["queue"] = sa.case({suite: queue_of(sample) for suite, sample in samples.items()}, value=wanted.c.suite)
    query = sa.select(*values.values()).where(sa.true()).order_by(wanted.c.rank, wanted.c.tried_at, wanted.c.name)
    statement = insert(connection, _JOBS).from_select(list(values), query, include_defaults=False)
    return Counter(connection.scalars(statement.on_conflict_do_nothing().returning(_JOBS.c.purpose)))


def _offered(order: Order) -> sa.Subquery:
    """One row a release, of all its architectures; without those that a plan is owed for, which are most of them."""
    column = _OFFERS.c
    planned = sa.exists().where((_JOBS.c.target == column.target) & farm_tables.OPEN_PLAN)
    is_new = sa.case((column.first_seen > _IMPORTS.c.first_at, 1), else_=0)
    return (
        sa.select(
            column.suite,
            column.name,
            column.target,
            sa.func.count().label("parts"),
            sa.func.sum(column.size_bytes).label("size_bytes"),
            sa.func.max(column.changed_at).label("changed_at"),
            sa.func.max(is_new).label("is_new"),
            sa.func.max(sa.case((_IMPORTS.c.is_security, 1), else_=0)).label("is_security"),
        )
        .join(_IMPORTS, (_IMPORTS.c.suite == column.suite) & (_IMPORTS.c.architecture == column.architecture))
        .where(column.suite.in_(list(order.suites)) & column.architecture.in_(order.architectures))
        .where(column.gone_at.is_(None) & ~planned)
        .group_by(column.suite, column.name, column.target)
        .subquery("offered")
    )


def _owed(order: Order) -> sa.Subquery:
    """Targets for which some job other than a plan is not final."""
    open_ones = _JOBS.c.suite.in_(list(order.suites)) & _JOBS.c.state.in_(_OPEN) & (_JOBS.c.kind != JobKind.PLAN)
    newest = sa.func.max(_JOBS.c.id).label("job")
    return sa.select(_JOBS.c.target, newest).where(open_ones).group_by(_JOBS.c.target).subquery("owed")


def _tried(order: Order) -> sa.Subquery:
    """When each target was last tried."""
    ended = (_JOBS.c.kind == JobKind.PLAN) & _JOBS.c.suite.in_(list(order.suites)) & _JOBS.c.state.in_(_ENDED)
    plans = sa.select(_JOBS.c.target, _JOBS.c.changed_at.label("at")).where(ended)
    every = sa.union_all(plans, sa.select(*_concluded(order, "target", "concluded_at"))).subquery("tries")
    return sa.select(every.c.target, sa.func.max(every.c.at).label("at")).group_by(every.c.target).subquery("tried")


def _worse(order: Order) -> sa.Subquery:
    """Targets of which the newest decided verdict is worse than the one before it, of whichever version.

    Lines of history are the ledger's (`Conclusion.line`): of one suite with its updates.
    """
    names = ("target", "name", "line", "architecture", "badness", "concluded_at", "id")
    found = sa.select(*_concluded(order, *names)).subquery()
    line = (found.c.name, found.c.line, found.c.architecture)
    before = sa.func.lag(found.c.badness).over(partition_by=line, order_by=(found.c.concluded_at, found.c.id))
    newest = sa.func.row_number().over(partition_by=line, order_by=(found.c.concluded_at.desc(), found.c.id.desc()))
    steps = sa.select(found.c.target, found.c.badness, before.label("before"), newest.label("newest"))
    decided = steps.where(found.c.badness != Verdict.UNDECIDED.badness).subquery("steps")
    is_worse = (decided.c.newest == 1) & (decided.c.badness > decided.c.before)
    return sa.select(decided.c.target).where(is_worse).distinct().subquery("worse")


def _concluded(order: Order, *names: str) -> list[sa.ColumnElement[Any]]:
    """Columns of what was concluded about these suites and not withdrawn."""
    releases, comparisons, withdrawals = tables.releases, tables.comparisons, tables.withdrawals
    withdrawn = sa.exists().where(withdrawals.c.comparison == comparisons.c.id)
    badness = sa.case({each.value: each.badness for each in Verdict}, value=comparisons.c.verdict)
    found = (
        sa.select(
            releases.c.target,
            releases.c.name,
            sa.case({suite: base_suite(suite) for suite in order.suites}, value=releases.c.suite).label("line"),
            comparisons.c.architecture,
            comparisons.c.concluded_at.label("concluded_at"),
            comparisons.c.id,
            badness.label("badness"),
        )
        .join(releases, comparisons.c.release == releases.c.id)
        .where(releases.c.suite.in_(list(order.suites)) & ~withdrawn)
        .subquery()
    )
    return [found.c[name] for name in names]


def _by_suite(column: sa.ColumnElement[str], moments: Mapping[str, datetime]) -> sa.ColumnElement[Any]:
    """Give the moment that holds for a row's suite."""
    kind = _OFFERS.c.first_seen.type
    return sa.case({suite: sa.literal(moment, kind) for suite, moment in moments.items()}, value=column)
