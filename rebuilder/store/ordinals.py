"""Run numbers: each (plan, builder, ordinal) is given out once, whoever asks at the same time."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from rebuilder.model.digest import Digest
from rebuilder.store.tables import rebuilds


def reserve_ordinal(connection: Connection, plan: Digest, builder: str, at: datetime, *, at_least: int = 0) -> int:
    """Reserve the next run number of this plan by this builder, in the caller's transaction.

    SQLite has one writer at a time. On PostgreSQL a lock on the pair lasts until the transaction ends: who waits for it
    then reads what the other one wrote.
    """
    if connection.dialect.name == "postgresql":
        pair = sa.func.hashtextextended(f"{plan} {builder}", 0)
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(pair)))
    ours = (rebuilds.c.plan == plan) & (rebuilds.c.builder == builder)
    highest = connection.scalar(sa.select(sa.func.max(rebuilds.c.ordinal)).where(ours))
    ordinal = max(at_least, 0 if highest is None else highest + 1)
    values = {"plan": plan, "builder": builder, "ordinal": ordinal, "reserved_at": at}
    connection.execute(rebuilds.insert().values(**values))
    return ordinal
