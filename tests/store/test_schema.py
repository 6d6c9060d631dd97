"""Every way to today's schema: made at once, or brought forward from each version, on both databases."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from rebuilder.errors import StorageFailure
from rebuilder.store import engines, farm_tables
from rebuilder.store.database import Database
from rebuilder.store.jobs import Jobs
from rebuilder.store.ledger import Ledger
from rebuilder.store.schema import MIGRATIONS, Preparation
from rebuilder.store.tables import SCHEMA_VERSION
from tests.servers import Postgres
from tests.store.conftest import dossier
from tests.store.owing import MINUTE, NOON, OUTPUT, claimed, new, worker

METADATA = farm_tables.jobs.metadata


def config(connection: sa.Connection) -> Config:
    """Use the project's migrations on this connection."""
    made = Config(attributes={"connection": connection})
    made.set_main_option("script_location", str(MIGRATIONS))
    made.set_main_option("path_separator", "os")
    return made


def differences(database: Database) -> list[object]:
    """What Alembic would have to change."""
    with database.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": False})
        return list(compare_metadata(context, METADATA))


def tables_of(path: Path) -> list[tuple[str, str]]:
    """Every table and index of a file, with the statement that made it."""
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall()
    connection.close()
    return [(name, re.sub(r"\s+", " ", sql or "")) for name, sql in rows]


def make_old(path: Path, version: int) -> None:
    """Make a file as a program of that version did: that one wrote `user_version`, and knew no Alembic."""
    path.parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(f"sqlite:///{path}", poolclass=sa.NullPool)
    with engine.begin() as connection:
        command.upgrade(config(connection), str(version))
        connection.exec_driver_sql("DROP TABLE alembic_version")
        connection.exec_driver_sql(f"PRAGMA user_version = {version}")
        connection.exec_driver_sql(
            "INSERT INTO events VALUES (1, 'artifact-changed', 'x', 'y', '2026-11-01T12:00:00Z')"
        )


def test_the_newest_migration_is_the_schemas_version() -> None:
    """And each has one before it."""
    directory = ScriptDirectory(str(MIGRATIONS))
    assert directory.get_heads() == [str(SCHEMA_VERSION)]
    assert [step.revision for step in directory.walk_revisions()] == [str(n) for n in range(SCHEMA_VERSION, 0, -1)]


@pytest.mark.parametrize("version", [1, 2])
def test_an_older_file_becomes_what_a_new_one_is(version: int, tmp_path: Path) -> None:
    """To the letter, with what it held; opening it twice changes nothing."""
    make_old(tmp_path / "old.sqlite", version)
    for _ in range(2):
        database = Database(tmp_path / "old.sqlite")
        assert [event.subject for event in Ledger(database).events()] == ["x"]
    Database(tmp_path / "new.sqlite")
    assert tables_of(tmp_path / "old.sqlite") == tables_of(tmp_path / "new.sqlite")
    assert differences(database) == []
    jobs = Jobs(database)
    jobs.add([new()], NOON)
    assert claimed(jobs, worker()).fence == 1


def test_a_role_upgrades_no_file_either(tmp_path: Path) -> None:
    """It makes what is not there, refuses what is older with the way out, and leaves it as it was."""
    make_old(tmp_path / "old.sqlite", 2)
    before = tables_of(tmp_path / "old.sqlite")
    for preparation in (Preparation.VERIFY, Preparation.MAKE):
        with pytest.raises(StorageFailure, match=f"expected ledger schema {SCHEMA_VERSION}, found 2") as caught:
            Database(tmp_path / "old.sqlite", preparation=preparation)
        assert "`rebuilder ledger upgrade` brings it forward" in str(caught.value.hint)
    assert tables_of(tmp_path / "old.sqlite") == before
    with pytest.raises(StorageFailure, match=f"expected ledger schema {SCHEMA_VERSION}, found 0") as caught:
        Database(tmp_path / "new.sqlite", preparation=Preparation.VERIFY)
    assert "makes its tables" in str(caught.value.hint)
    Database(tmp_path / "new.sqlite", preparation=Preparation.MAKE)
    assert differences(Database(tmp_path / "new.sqlite", preparation=Preparation.VERIFY)) == []


def test_an_empty_server_gets_its_tables_from_who_may_make_them(
    bare: Callable[[int], None], postgres_server: Postgres
) -> None:
    """A coordinator does."""
    bare(0)
    database = opened(postgres_server, Preparation.MAKE)
    assert differences(database) == []
    database.close()


def test_an_upgrade_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    """A table in the way: nothing of the upgrade stays, and it is said."""
    make_old(tmp_path / "old.sqlite", 2)
    with sqlite3.connect(tmp_path / "old.sqlite") as connection:
        connection.execute("CREATE TABLE workers (id INTEGER)")
    connection.close()
    before = tables_of(tmp_path / "old.sqlite")
    with pytest.raises(StorageFailure, match="workers"):
        Database(tmp_path / "old.sqlite")
    assert tables_of(tmp_path / "old.sqlite") == before


@pytest.fixture
def bare(postgres_server: Postgres) -> Iterator[Callable[[int], None]]:
    """Give the server's database with nothing in it, or as it was with a version; afterwards it is whole again."""
    address = sa.make_url(postgres_server.address).set(password=postgres_server.password)
    engine = sa.create_engine(address, poolclass=sa.NullPool)

    def make(version: int) -> None:
        with engine.begin() as connection:
            connection.exec_driver_sql("DROP SCHEMA public CASCADE")
            connection.exec_driver_sql("CREATE SCHEMA public")
            if version:
                command.upgrade(config(connection), str(version))

    make(0)
    yield make
    make(0)


def opened(server: Postgres, preparation: Preparation | None = None) -> Database:
    """Open the server's ledger."""
    return Database(server.address, password=server.password, preparation=preparation)


@pytest.mark.parametrize("version", [0, 1, 2])
def test_a_server_is_upgraded_only_when_asked(
    version: int, bare: Callable[[int], None], postgres_server: Postgres
) -> None:
    """Opening an older one says what to do; then it is what a new one is. Who may make one upgrades none."""
    bare(version)
    for preparation in (None, Preparation.MAKE) if version else (None,):
        with pytest.raises(StorageFailure, match=f"expected ledger schema {SCHEMA_VERSION}, found {version}") as caught:
            opened(postgres_server, preparation)
        assert "rebuilder ledger upgrade" in str(caught.value.hint)
    database = opened(postgres_server, Preparation.UPGRADE)
    assert differences(database) == []
    database.close()
    again = opened(postgres_server)
    Ledger(again).record_comparison(dossier(), "run")
    again.close()


def test_a_newer_server_is_left_alone(bare: Callable[[int], None], postgres_server: Postgres) -> None:
    """Also when an upgrade is asked for."""
    bare(SCHEMA_VERSION)
    database = opened(postgres_server)
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '99'")
    for preparation in Preparation:
        with pytest.raises(StorageFailure, match=f"expected ledger schema {SCHEMA_VERSION}, found 99") as caught:
            opened(postgres_server, preparation)
        assert "newer rebuilder" in str(caught.value.hint)
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = 'f00f'")
    with pytest.raises(StorageFailure, match="some other program's database"):
        opened(postgres_server)
    database.close()


def test_another_programs_database_is_left_alone(bare: Callable[[int], None], postgres_server: Postgres) -> None:
    """Tables that are not ours are not added to."""
    address = sa.make_url(postgres_server.address).set(password=postgres_server.password)
    engine = sa.create_engine(address, poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE bookmarks (id INTEGER)")
    with pytest.raises(StorageFailure, match="some other program's database"):
        opened(postgres_server, Preparation.UPGRADE)


def test_an_upgrade_keeps_leases_alive(database: Database) -> None:
    """Upgrading what is of this schema changes nothing: who holds a job reports it afterwards."""
    jobs = Jobs(database)
    jobs.add([new()], NOON)
    lease = claimed(jobs, worker())
    if database.is_file:
        again = Database(Path(database.name))
    else:
        with database.write() as connection:
            command.upgrade(config(connection), "head")
        again = database
    job = Jobs(again).complete(lease.job.id, lease.fence, lease.worker, output=OUTPUT, at=NOON + MINUTE)
    assert job.output == OUTPUT


def test_a_wrong_password_and_an_absent_server_are_said(postgres_server: Postgres) -> None:
    """With what to correct, and without the password."""
    with pytest.raises(StorageFailure, match="password authentication failed") as caught:
        Database(postgres_server.address, password="not-it")  # noqa: S106 - wrong on purpose
    assert "farm.database_password_file" in str(caught.value.hint)
    assert "not-it" not in str(caught.value)
    with pytest.raises(StorageFailure, match="refused") as caught:
        Database("postgresql://farm@127.0.0.1:1/farm")
    assert "farm.database" in str(caught.value.hint)


def end_connections(server: Postgres) -> None:
    """Have the server end everybody's connections, as an administrator does."""
    others = "FROM pg_stat_activity WHERE usename = current_user AND pid <> pg_backend_pid()"
    theirs = sa.text(f"SELECT pg_terminate_backend(pid) {others}")
    database = Database(server.address, password=server.password)
    with database.read() as connection:
        assert connection.scalars(theirs).all()
    database.close()


def test_a_server_that_was_restarted_is_used_again(postgres_database: Database, postgres_server: Postgres) -> None:
    """A connection that it dropped is replaced; what was committed is there."""
    jobs = Jobs(postgres_database)
    jobs.add([new()], NOON)
    postgres_server.stop("immediate")
    with pytest.raises(StorageFailure):
        jobs.backlog()
    postgres_server.start()
    assert dict(jobs.backlog().by_state) == {"ready": 1}


def test_a_connection_that_rested_is_asked_before_its_use(
    postgres_database: Database, postgres_server: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the server ended meanwhile is replaced, and nobody notices."""
    monkeypatch.setattr(engines, "_TRUSTED_S", 0.0)
    jobs = Jobs(postgres_database)
    jobs.add([new()], NOON)
    end_connections(postgres_server)
    assert dict(jobs.backlog().by_state) == {"ready": 1}


def test_a_connection_that_ends_a_moment_after_its_use_costs_one_transaction(
    postgres_database: Database, postgres_server: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not asked first: the transaction fails as a whole, with an error of ours, and the next one works."""
    monkeypatch.setattr(engines, "_TRUSTED_S", 60.0)
    jobs = Jobs(postgres_database)
    jobs.add([new()], NOON)
    end_connections(postgres_server)
    with pytest.raises(StorageFailure):
        jobs.add([new("other")], NOON)
    assert dict(jobs.backlog().by_state) == {"ready": 1}
