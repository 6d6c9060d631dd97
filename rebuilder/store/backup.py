"""A whole ledger as one file, and back: the same format for SQLite and PostgreSQL, so that one can become the other.

Canonical JSON, a line each: what it is and of which schema; then each table's name and columns, followed by its rows as
lists; last how many rows there were, and the SHA-256 of every line before. It is read in one transaction, while others
write. Times and digests are text, as they are stored.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DataError, IntegrityError, ProgrammingError

from rebuilder.errors import HostileInput, UsageError
from rebuilder.model.codec import parse_json, render, render_time
from rebuilder.store import farm_tables
from rebuilder.store.database import Database
from rebuilder.store.tables import SCHEMA_VERSION
from rebuilder.world.files import storage_errors

_FORMAT = "rebuilder-ledger"
_LINE_LIMIT_BYTES = 16 * 1024**2
_AT_ONCE = 500
_TABLES = tuple(table for table in farm_tables.jobs.metadata.sorted_tables if table.name != "alembic_version")
_IDLE = frozenset({"leader", "workers", "tokens", "nonces", "events"})
"""Tables that coordinators fill that find an empty ledger: who sweeps, who is enrolled by a file, who was refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """What was written or read."""

    tables: int
    rows: int
    replaced: int = 0
    """Rows of a farm that had not begun anything, which gave way to a backup."""


def backup(database: Database, path: Path, at: datetime) -> Copied:
    """Write the ledger, as it is at one moment, to a new file; it is there whole or not at all."""
    if path.exists():
        raise UsageError(f"{path} is there already", hint="name a new file: an older backup is not written over")
    with storage_errors(path):
        descriptor, name = tempfile.mkstemp(prefix=".backup-", dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as stream, database.read() as connection:
                copied = _write(connection, stream, at)
                stream.flush()
                os.fsync(stream.fileno())
            os.link(name, path)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(name)
    return copied


def restore(database: Database, path: Path) -> Copied:
    """Fill a ledger from a backup, wholly or not at all, in which no more is than coordinators write that have no work.

    Enrolment tokens that nobody had used then are left out: somebody may have since. HostileInput for a file that is
    cut short, altered or none of ours; UsageError when something is recorded already.
    """
    with storage_errors(path), path.open("rb") as stream, database.write() as connection:
        replaced = _make_room(connection, database.name)
        copied = _read(connection, stream, path.name)
        connection.execute(farm_tables.tokens.delete().where(farm_tables.tokens.c.used_by.is_(None)))
        if connection.dialect.name == "postgresql":
            _continue_numbers(connection)
    return replace(copied, replaced=replaced)


def _make_room(connection: Connection, name: str) -> int:
    """Remove what idle coordinators wrote, and count it; raise UsageError if anything else is recorded.

    Nobody writes until the transaction ends: on PostgreSQL coordinators that run wait, as writers of a file do anyway.
    """
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"LOCK TABLE {', '.join(table.name for table in _TABLES)} IN EXCLUSIVE MODE")
    recorded = (table for table in _TABLES if table.name not in _IDLE)
    full = [table.name for table in recorded if connection.execute(sa.select(table).limit(1)).first()]
    if full:
        raise UsageError(
            f"{name}: expected a ledger of which nothing is owed or recorded, found rows in {full[0]}",
            hint="name another state directory or database, or move this one aside (docs/FARM.md, Restore)",
        )
    return sum(connection.execute(table.delete()).rowcount for table in _TABLES if table.name in _IDLE)


def _write(connection: Connection, stream: BinaryIO, at: datetime) -> Copied:
    digest, rows = hashlib.sha256(), 0

    def line(value: object) -> None:
        data = render(value) + b"\n"
        digest.update(data)
        stream.write(data)

    line({"format": _FORMAT, "schema": SCHEMA_VERSION, "made_at": render_time(at)})
    for table in _TABLES:
        stored = _stored(table)
        line({"table": table.name, "columns": [column.name for column in stored.c]})
        query = sa.select(stored).order_by(*(stored.c[column.name] for column in table.primary_key))
        for row in connection.execution_options(yield_per=_AT_ONCE).execute(query):
            line(list(row))
            rows += 1
    stream.write(render({"rows": rows, "sha256": digest.hexdigest()}) + b"\n")
    return Copied(tables=len(_TABLES), rows=rows)


def _read(connection: Connection, stream: BinaryIO, name: str) -> Copied:
    """1. The first line says what it is. 2. Tables and rows, in the order of the schema. 3. The last line agrees."""
    digest = hashlib.sha256()
    lines = _lines(stream, name)
    _, first = next(lines, (b"", None))
    if not isinstance(first, dict) or first.get("format") != _FORMAT:
        raise HostileInput(f"{name}: not a backup of a ledger")
    if first.get("schema") != SCHEMA_VERSION:
        raise HostileInput(
            f"{name}: expected a backup of schema {SCHEMA_VERSION}, found {first.get('schema')}",
            hint="restore it with the rebuilder that made it, then upgrade",
        )
    digest.update(render(first) + b"\n")
    tables, rows, waiting = list[sa.TableClause](), 0, list[dict[str, Any]]()
    for data, value in lines:
        if isinstance(value, list) and tables:
            waiting.append(_row(tables[-1], value, name))
            rows += 1
        if len(waiting) == _AT_ONCE or (waiting and isinstance(value, dict)):
            _insert(connection, tables[-1], waiting, name)
            waiting = []
        if isinstance(value, dict) and "sha256" in value:
            if (
                value != {"rows": rows, "sha256": digest.hexdigest()}
                or next(lines, None)
                or len(tables) != len(_TABLES)
            ):
                break
            return Copied(tables=len(tables), rows=rows)
        if isinstance(value, dict):
            tables.append(_announced(value, len(tables), name))
        digest.update(data)
    raise HostileInput(f"{name}: cut short or altered: its last line does not agree with it", hint="use another backup")


def _lines(stream: BinaryIO, name: str) -> Iterator[tuple[bytes, Any]]:
    while data := stream.readline(_LINE_LIMIT_BYTES + 1):
        if len(data) > _LINE_LIMIT_BYTES:
            raise HostileInput(f"{name}: a line of more than {_LINE_LIMIT_BYTES} bytes")
        yield data, parse_json(data)


def _announced(value: dict[str, Any], place: int, name: str) -> sa.TableClause:
    if place < len(_TABLES):
        stored = _stored(_TABLES[place])
        if value == {"table": stored.name, "columns": [column.name for column in stored.c]}:
            return stored
    raise HostileInput(f"{name}: expected the tables of schema {SCHEMA_VERSION}, found {str(value.get('table'))[:60]}")


def _insert(connection: Connection, table: sa.TableClause, rows: list[dict[str, Any]], name: str) -> None:
    try:
        connection.execute(table.insert(), rows)
    except (IntegrityError, DataError, ProgrammingError) as error:
        raise HostileInput(f"{name}: cut short or altered: rows of {table.name} that no ledger holds") from error


def _row(table: sa.TableClause, value: list[Any], name: str) -> dict[str, Any]:
    try:
        return {column.name: each for column, each in zip(table.c, value, strict=True)}
    except ValueError as error:
        raise HostileInput(f"{name}: a row of {table.name} with {len(value)} values") from error


def _stored(table: sa.Table) -> sa.TableClause:
    """Name a table with the types that the database has, so that values come and go as they are stored."""
    return sa.table(table.name, *(sa.column(column.name, _plain(column.type)) for column in table.c))


def _plain(kind: sa.types.TypeEngine[Any]) -> sa.types.TypeEngine[Any]:
    return kind.impl_instance if isinstance(kind, sa.TypeDecorator) else kind


def _continue_numbers(connection: Connection) -> None:
    """Have PostgreSQL's own numbers go on after the highest one; SQLite does so by itself."""
    for table in _TABLES:
        if table.autoincrement_column is not None:
            sequence = sa.func.pg_get_serial_sequence(table.name, "id")
            highest = sa.select(sa.func.coalesce(sa.func.max(table.c.id), 0) + 1).scalar_subquery()
            connection.execute(sa.select(sa.func.setval(sequence, highest, sa.false())))
