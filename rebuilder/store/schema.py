"""Which schema a ledger has, and bringing it to this program's: Alembic's migrations, in the caller's transaction.

A ledger that is made now gets its tables at once. An older one is brought forward by `migrations/`, step by step,
wholly or not at all. The version is the number of the newest migration: `PRAGMA user_version` in SQLite (programs from
before Alembic read it), `alembic_version` in both.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from rebuilder.errors import StorageFailure
from rebuilder.store import farm_tables
from rebuilder.store.tables import SCHEMA_VERSION, metadata

MIGRATIONS = Path(__file__).with_name("migrations")
_UPGRADE_LOCK = 0x7265_6275
"""One number for PostgreSQL's advisory locks: two upgrades never run at once."""


class Preparation(StrEnum):
    """What whoever opens a ledger may do to its tables. What is newer, or another program's, is always refused."""

    VERIFY = "verify"
    """Nothing: they have to be there, and of this program's schema."""
    MAKE = "make"
    """Make them where there are none; older ones are refused."""
    UPGRADE = "upgrade"
    """Make them, or bring older ones forward: because a person asked for it."""


def prepare(connection: Connection, name: str, preparation: Preparation) -> None:
    """Bring the tables to this program's schema as far as that is allowed; raise StorageFailure where it is not."""
    if preparation is not Preparation.VERIFY and connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_UPGRADE_LOCK)))
    found = version(connection, name)
    if found == 0 and preparation is not Preparation.VERIFY:
        _create(connection, name)
    elif 0 < found < SCHEMA_VERSION and preparation is Preparation.UPGRADE:
        _upgrade(connection, found)
    elif found != SCHEMA_VERSION:
        raise StorageFailure(f"{name}: expected ledger schema {SCHEMA_VERSION}, found {found}", hint=_way_out(found))


def _way_out(found: int) -> str:
    if found == 0:
        return "there is no ledger yet: `rebuilder ledger upgrade` makes its tables"
    if 0 < found < SCHEMA_VERSION:
        return "`rebuilder ledger upgrade` brings it forward; make a backup first, and stop the coordinator"
    return "a newer rebuilder made it; use that one, or name another state directory"


def version(connection: Connection, name: str) -> int:
    """Read the schema's version; 0 for none. Raise StorageFailure for one that is no number of ours."""
    if connection.dialect.name == "sqlite":
        return int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())
    if not sa.inspect(connection).has_table("alembic_version"):
        return 0
    word = connection.scalar(sa.select(metadata.tables["alembic_version"].c.version_num))
    if word is None or not word.isdecimal():
        raise StorageFailure(f"{name}: this is some other program's database", hint="name another in farm.database")
    return int(word)


def _create(connection: Connection, name: str) -> None:
    if sa.inspect(connection).get_table_names():
        raise StorageFailure(f"{name}: this is some other program's database", hint="name another state directory")
    farm_tables.jobs.metadata.create_all(connection)
    connection.execute(metadata.tables["alembic_version"].insert().values(version_num=str(SCHEMA_VERSION)))
    _note_version(connection)


def _upgrade(connection: Connection, found: int) -> None:
    from alembic import command  # noqa: PLC0415 - slow to load, and seldom needed
    from alembic.config import Config  # noqa: PLC0415 - as above

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    if not sa.inspect(connection).has_table("alembic_version"):
        metadata.tables["alembic_version"].create(connection)
        connection.execute(metadata.tables["alembic_version"].insert().values(version_num=str(found)))
    command.upgrade(config, str(SCHEMA_VERSION))
    _note_version(connection)


def _note_version(connection: Connection) -> None:
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(f"PRAGMA user_version = {SCHEMA_VERSION}")
