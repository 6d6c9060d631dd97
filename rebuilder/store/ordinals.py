"""Run numbers: each (plan, builder, ordinal) is given out once, whoever asks at the same time."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from rebuilder.model.digest import Digest
from rebuilder.store.dialects import insert
from rebuilder.store.tables import rebuilds

_COLUMNS = ("plan", "builder", "reserved_at", "ordinal")
_FOLLOWING = sa.func.coalesce(sa.func.max(rebuilds.c.ordinal) + 1, 0)
_LEAST = sa.bindparam("least", type_=sa.Integer)
_PLAN, _BUILDER = sa.bindparam("of_plan", type_=rebuilds.c.plan.type), sa.bindparam("by", type_=sa.Text)
_NEXT = sa.select(
    sa.cast(_PLAN, rebuilds.c.plan.type),
    sa.cast(_BUILDER, sa.Text),
    sa.cast(sa.bindparam("now", type_=rebuilds.c.reserved_at.type), rebuilds.c.reserved_at.type),
    sa.case((_FOLLOWING > _LEAST, _FOLLOWING), else_=_LEAST),
).where((rebuilds.c.plan == _PLAN) & (rebuilds.c.builder == _BUILDER))


def reserve_ordinal(connection: Connection, plan: Digest, builder: str, at: datetime, *, at_least: int = 0) -> int:
    """Reserve the next run number of this plan by this builder, in the caller's transaction.

    SQLite has one writer at a time. On PostgreSQL who reserves the same number waits until the other transaction ends,
    adds nothing if that one was committed, and looks again.
    """
    values = {"of_plan": plan, "by": builder, "now": at, "least": at_least}
    while True:
        statement = insert(connection, rebuilds).from_select(_COLUMNS, _NEXT, include_defaults=False)
        made = connection.scalar(statement.on_conflict_do_nothing().returning(rebuilds.c.ordinal), values)
        if made is not None:
            return int(made)
