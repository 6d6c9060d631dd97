"""Opening the ledger's database, and every way in which that can go wrong, said in our own errors.

Two kinds. A file: SQLite in WAL mode (https://www.sqlite.org/wal.html): readers never wait for the one writer, a killed
writer leaves the last committed state. A writing transaction takes the write lock at its start (BEGIN IMMEDIATE), so
that what it read cannot have changed when it writes. An address: PostgreSQL, where writers run side by side; who
depends on what he read locks the row, and readers see one state (REPEATABLE READ).
"""

from __future__ import annotations

import logging
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from rebuilder.errors import StorageFailure
from rebuilder.store import schema
from rebuilder.store.engines import BUSY_TIMEOUT_MS, file_engine, server_engine
from rebuilder.store.schema import Preparation
from rebuilder.world.files import locked, storage_errors

_NAME_LIMIT = 300
logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL + 1)  # it prints tracebacks on stderr when Ctrl-C comes


class Database:
    """One ledger, whose tables are made, upgraded or left as they are, as `preparation` says.

    `place` is a path, or `postgresql://USER@HOST/NAME` without the password. If nothing is said, a file is made and
    upgraded, for nobody else looks after it; a server is only verified, for other programs may be running.
    """

    def __init__(
        self,
        place: Path | str,
        *,
        password: str | None = None,
        busy_timeout_ms: int = BUSY_TIMEOUT_MS,
        preparation: Preparation | None = None,
    ) -> None:
        self.name = str(place)
        self.path = place if isinstance(place, Path) else None
        self._engine: Engine
        if self.path is None:
            with self._translated():
                self._engine = server_engine(self.name, password, busy_timeout_ms)
            weakref.finalize(self, self._engine.dispose)
            with self.write() as connection:
                schema.prepare(connection, self.name, preparation or Preparation.VERIFY)
        else:
            self._engine = file_engine(self.path, busy_timeout_ms)
            weakref.finalize(self, self._engine.dispose)
            self._prepare_file(self.path, preparation or Preparation.UPGRADE)

    @property
    def is_file(self) -> bool:
        """Whether it is SQLite."""
        return self.path is not None

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Run a transaction that may write: all of it happens, or nothing."""
        with self._translated(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Run a transaction that only reads, on one consistent state, without waiting for a writer."""
        options = {"rebuilder_reads": True} if self.is_file else {"isolation_level": "REPEATABLE READ"}
        with self._translated(), self._engine.connect().execution_options(**options) as connection:
            try:
                yield connection
            except ValueError as error:
                raise StorageFailure(
                    f"the ledger {self.name} holds what no ledger holds: {error}", hint=_REMAKE
                ) from error

    def close(self) -> None:
        """Give the connections back; the next use makes new ones."""
        self._engine.dispose()

    def _prepare_file(self, path: Path, preparation: Preparation) -> None:
        with storage_errors(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
        with locked(path.with_name(path.name + ".lock")):
            with self._translated(), self._engine.connect().execution_options(rebuilder_bare=True) as connection:
                connection.exec_driver_sql("PRAGMA journal_mode = WAL")
            with self.write() as connection:
                schema.prepare(connection, self.name, preparation)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (SQLAlchemyError, ImportError) as error:
            cause = error.orig if isinstance(error, DBAPIError) else error
            message = (str(cause).splitlines() or [type(cause).__name__])[0][:_NAME_LIMIT]
            raise StorageFailure(f"the ledger {self.name}: {message}", hint=self._hint(message)) from error

    def _hint(self, message: str) -> str:
        where = "`rebuilder doctor` examines the state directory" if self.is_file else "look at the server's own log"
        lower = message.lower()
        return next((hint for word, hint in _HINTS if word in lower), where)


_REMAKE = "move the file aside, then `rebuilder ledger rebuild` makes it again from the results"

_HINTS = (
    ("locked", "another rebuilder is writing; try again when it is done"),
    ("deadlock", "another rebuilder is writing the same; try again"),
    ("lock timeout", "another rebuilder is writing; try again when it is done"),
    ("not a database", _REMAKE),
    ("malformed", _REMAKE),
    ("full", "free some space"),
    ("readonly", "make the file and its directory writable, or name another state directory"),
    ("unable to open", "make the directory writable, or name another state directory"),
    ("password", "farm.database_password_file names the file with the right one"),
    ("refused", "start the server, or correct farm.database"),
    ("timeout expired", "start the server, or correct farm.database"),
    ("resolve", "correct the host in farm.database"),
    ("does not exist", "create the user and the database, as docs/FARM.md says"),
    ("no module", "install rebuilder with its part for farms: pip install 'rebuilder[farm]'"),
)
