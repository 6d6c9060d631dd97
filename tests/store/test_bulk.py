"""Many rows in one go: both databases hold the same afterwards, whatever is in the values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from rebuilder.errors import StorageFailure
from rebuilder.store import tables
from rebuilder.store.bulk import insert_new
from rebuilder.store.database import Database
from tests.store.test_schedule import catalogue, offer, sync

COLUMNS = ("ecosystem", "distribution", "filename", "digest", "size_bytes", "first_seen", "last_seen")
NOON = "2026-11-01T12:00:00Z"
NASTY = (
    "tab\t",
    "back\\slash",
    "\\N",
    "\\.",
    "line\nfeed",
    "return\r",
    "quote'\"",
    "{brace,}",
    "é €",
    "%s",
    "",
    "NULL",
)

Row = tuple[Any, ...]


def row(filename: str, size_bytes: int | str | None = 2**40) -> Row:
    """Make a row of sightings."""
    return ("deb", "debian", filename, f"sha256:{'0' * 64}", size_bytes, NOON, NOON)


def stored(database: Database) -> list[Row]:
    """Read the rows, as the columns have them."""
    with database.read() as connection:
        rows = connection.exec_driver_sql(f"SELECT {', '.join(COLUMNS)} FROM sightings")  # noqa: S608 - names of ours
        return sorted(tuple(found) for found in rows)


def test_values_are_stored_as_they_are(database: Database) -> None:
    """Nothing in them parts rows or columns, or ends what is copied."""
    rows = [row(text) for text in NASTY]
    with database.write() as connection:
        insert_new(connection, tables.sightings, COLUMNS, lambda: iter(rows))
    assert stored(database) == sorted(rows)


def test_what_is_there_stays(database: Database) -> None:
    """Also what came earlier among the same rows, and in the same transaction; none is fine."""
    with database.write() as connection:
        insert_new(connection, tables.sightings, COLUMNS, lambda: [row("a", 1), row("b", 2), row("a", 3)])
        insert_new(connection, tables.sightings, COLUMNS, lambda: [row("b", 4), row("c", 5)])
        insert_new(connection, tables.sightings, COLUMNS, list)
    assert stored(database) == [row("a", 1), row("b", 2), row("c", 5)]


def test_nothing_stays_of_rows_that_are_refused(database: Database) -> None:
    """It is an error of ours, and the transaction did not happen."""
    with pytest.raises(StorageFailure), database.write() as connection:
        insert_new(connection, tables.sightings, COLUMNS, lambda: [row("a"), row("b"), row("c", None)])
    assert stored(database) == []
    with database.write() as connection:
        insert_new(connection, tables.sightings, COLUMNS, lambda: [row("d")])
    assert stored(database) == [row("d")]


@pytest.mark.parametrize("spoilt", [row("a", "many"), row("a\0b")], ids=["text for a number", "NUL"])
def test_a_value_that_cannot_be_copied_is_an_error_of_ours(spoilt: Row, postgres_database: Database) -> None:
    """PostgreSQL and its driver are stricter than SQLite."""
    with pytest.raises(StorageFailure), postgres_database.write() as connection:
        insert_new(connection, tables.sightings, COLUMNS, lambda: [spoilt])
    assert stored(postgres_database) == []


def test_a_suite_is_the_same_in_both_databases(postgres_database: Database, tmp_path: Path) -> None:
    """Offers, files and jobs: copied to one, inserted into the other."""
    sqlite = Database(tmp_path / "ledger.sqlite")
    names = ("greeter", "a+b", "z", "libc++", "m.n")
    suite = catalogue(*(offer(name, files=2) for name in names), offer("greeter", architecture="all"))
    for database in (sqlite, postgres_database):
        assert sync(database, suite).added == len(names)
    assert [contents(sqlite, table) for table in ("offers", "sightings", "jobs")] == [
        contents(postgres_database, table) for table in ("offers", "sightings", "jobs")
    ]


def contents(database: Database, table: str) -> list[dict[str, Any]]:
    """Read a whole table."""
    with database.read() as connection:
        rows = [dict(found) for found in connection.execute(sa.select(tables.metadata.tables[table])).mappings()]
    return sorted(rows, key=lambda found: str(sorted(found.items(), key=str)))
