"""Who of several coordinators does what only one may do: one row an office, held by a lease with a fence."""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa

from rebuilder.store import farm_tables
from rebuilder.store.database import Database
from rebuilder.store.dialects import insert

_LEADER = farm_tables.leader


class Leadership:
    """The ledger's offices."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def lead(self, office: str, holder: str, at: datetime, *, lease: timedelta) -> int | None:
        """Take or keep an office until `at` + `lease`; return the fence under which it is held, None if another has it.

        The fence rises whenever the office changes hands, or was let go: it stays while one holder renews in time. One
        statement, so that two who ask at once never both get it.
        """
        is_mine = (_LEADER.c.holder == holder) & (_LEADER.c.expires_at > at)
        values = {"office": office, "holder": holder, "fence": 1, "expires_at": at + lease}
        with self._database.write() as connection:
            statement = insert(connection, _LEADER).values(**values)
            statement = statement.on_conflict_do_update(
                index_elements=["office"],
                set_={
                    "holder": holder,
                    "fence": sa.case((is_mine, _LEADER.c.fence), else_=_LEADER.c.fence + 1),
                    "expires_at": at + lease,
                },
                where=is_mine | (_LEADER.c.expires_at <= at),
            )
            fence: int | None = connection.execute(statement.returning(_LEADER.c.fence)).scalar()
        return fence
