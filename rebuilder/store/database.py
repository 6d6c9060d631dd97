"""Opening the ledger's database, and every way in which that can go wrong, said in our own errors.

SQLite in WAL mode (https://www.sqlite.org/wal.html): readers never wait for the one writer, a killed writer leaves
the last committed state. A writing transaction takes the write lock at its start (BEGIN IMMEDIATE), so that what it
read cannot have changed when it writes.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from rebuilder.errors import StorageFailure
from rebuilder.store.tables import SCHEMA_VERSION, metadata
from rebuilder.world.files import locked, storage_errors

BUSY_TIMEOUT_MS = 30_000
_NAME_LIMIT = 300
logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL + 1)  # it prints tracebacks on stderr when Ctrl-C comes


class Database:
    """One ledger file; made with its tables when it is not there, upgraded in place when an older program made it."""

    def __init__(self, path: Path, *, busy_timeout_ms: int = BUSY_TIMEOUT_MS) -> None:
        self.path = path
        self._engine = _engine(path, busy_timeout_ms)
        with storage_errors(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
        with locked(path.with_name(path.name + ".lock")):
            self._prepare()

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Run a transaction that may write: all of it happens, or nothing."""
        with self._translated(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Run a transaction that only reads, on one consistent state, without waiting for a writer."""
        with self._translated(), self._engine.connect().execution_options(rebuilder_reads=True) as connection:
            try:
                yield connection
            except ValueError as error:
                raise StorageFailure(
                    f"the ledger {self.path} holds what no ledger holds: {error}", hint=_REMAKE
                ) from error

    def _prepare(self) -> None:
        with self._translated(), self._engine.connect().execution_options(rebuilder_bare=True) as connection:
            connection.exec_driver_sql("PRAGMA journal_mode = WAL")
        with self.write() as connection:
            version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
            if version == 0:
                self._create(connection)
            elif 0 < version < SCHEMA_VERSION:
                _complete(connection)
            elif version != SCHEMA_VERSION:
                raise StorageFailure(
                    f"{self.path}: expected ledger schema {SCHEMA_VERSION}, found {version}",
                    hint="a newer rebuilder made it; use that one, or name another state directory",
                )

    def _create(self, connection: Connection) -> None:
        if sa.inspect(connection).get_table_names():
            raise StorageFailure(
                f"{self.path}: this is some other program's database", hint="name another state directory"
            )
        _complete(connection)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (SQLAlchemyError, sqlite3.Error) as error:
            message = str(getattr(error, "orig", None) or error).splitlines()[0][:_NAME_LIMIT]
            raise StorageFailure(f"the ledger {self.path}: {message}", hint=_hint(message)) from error


def _complete(connection: Connection) -> None:
    """Add the tables that a new or an older ledger lacks: in the transaction of the caller, so wholly or not at all."""
    metadata.create_all(connection)
    connection.exec_driver_sql(f"PRAGMA user_version = {SCHEMA_VERSION}")


_REMAKE = "move the file aside, then `rebuilder ledger rebuild` makes it again from the results"

_HINTS = (
    ("locked", "another rebuilder is writing; try again when it is done"),
    ("not a database", _REMAKE),
    ("malformed", _REMAKE),
    ("full", "free some space"),
    ("readonly", "make the file and its directory writable, or name another state directory"),
    ("unable to open", "make the directory writable, or name another state directory"),
)


def _hint(message: str) -> str:
    lower = message.lower()
    return next((hint for word, hint in _HINTS if word in lower), "`rebuilder doctor` examines the state directory")


def _engine(path: Path, busy_timeout_ms: int) -> Engine:
    engine = sa.create_engine(sa.URL.create("sqlite", database=str(path)), poolclass=sa.NullPool)

    @sa.event.listens_for(engine, "connect")
    def configure(connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = None  # transactions begin where `begin` below says, not where the driver thinks
        for pragma in (f"busy_timeout = {busy_timeout_ms}", "foreign_keys = ON", "synchronous = FULL"):
            connection.execute(f"PRAGMA {pragma}")

    @sa.event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        options = connection.get_execution_options()
        if not options.get("rebuilder_bare"):
            connection.exec_driver_sql("BEGIN" if options.get("rebuilder_reads") else "BEGIN IMMEDIATE")

    return engine
