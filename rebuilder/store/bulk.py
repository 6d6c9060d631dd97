"""Many rows in one statement: what a whole suite needs, in a second on either database.

Values are given as the columns store them (text, numbers, None), for converting each of 70,000 costs more than storing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

_AT_ONCE = 5000


def insert_new(
    connection: Connection, table: sa.Table, columns: Sequence[str], rows: Iterable[tuple[Any, ...]]
) -> None:
    """Insert rows, but for those whose key is there already."""
    statement = _statement(connection, table, columns)
    iterator = iter(rows)
    while batch := list(islice(iterator, _AT_ONCE)):
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(statement, tuple(list(column) for column in zip(*batch, strict=True)))
        else:
            connection.exec_driver_sql(statement, batch)


def _statement(connection: Connection, table: sa.Table, columns: Sequence[str]) -> str:
    """Build it from names of our own tables; values are parameters."""
    quote = connection.dialect.identifier_preparer.quote
    head = f"INSERT INTO {quote(table.name)} ({', '.join(map(quote, columns))})"
    if connection.dialect.name == "postgresql":
        arrays = ", ".join(f"%s::{_array(table.c[name])}" for name in columns)
        return f"{head} SELECT * FROM unnest({arrays}) ON CONFLICT DO NOTHING"  # noqa: S608 - see above
    return f"{head} VALUES ({', '.join('?' * len(columns))}) ON CONFLICT DO NOTHING"


def _array(column: sa.Column[Any]) -> str:
    return "bigint[]" if isinstance(column.type, sa.Integer) else "text[]"
