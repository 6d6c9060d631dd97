"""The one statement that SQLite and PostgreSQL spell in modules of their own: INSERT … ON CONFLICT."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import Connection


def insert(connection: Connection, table: sa.Table) -> Any:  # noqa: ANN401 - two unrelated classes with the same methods
    """Begin an INSERT that may name its conflicts (`on_conflict_do_nothing`, `on_conflict_do_update`)."""
    if connection.dialect.name == "postgresql":
        from sqlalchemy.dialects import postgresql  # noqa: PLC0415 - slow to load, and not for a file

        return postgresql.insert(table)
    return sqlite.insert(table)
