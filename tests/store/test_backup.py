"""Backup, restore and examination of ledgers of both kinds, and what is wrong with a backup."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from rebuilder.errors import HostileInput, UsageError
from rebuilder.model.cause import Cause
from rebuilder.model.digest import Digest
from rebuilder.model.job import JobKind
from rebuilder.store import farm_tables
from rebuilder.store.backup import backup, restore
from rebuilder.store.conclusions import Event, EventKind
from rebuilder.store.database import Database
from rebuilder.store.examine import examine
from rebuilder.store.jobs import Jobs
from rebuilder.store.leadership import Leadership
from rebuilder.store.ledger import Ledger
from rebuilder.store.workers import Grant, Workers
from tests.store.conftest import dossier, rebuild, release
from tests.store.owing import MINUTE, NOON, claim, claimed, new, opened, worker
from tests.store.test_workers import Key


def fill(database: Database) -> None:
    """Do something of everything."""
    ledger, jobs = Ledger(database), Jobs(database)
    ledger.record_rebuild(rebuild(ledger.next_ordinal(Digest.of(b"plan"), "b" * 64, NOON)))
    ledger.record_comparison(dossier(causes=(Cause.BUILD_FAILED,)), "deb/dëmo")
    ledger.observe_artifacts(release(), NOON)
    ledger.observe_artifacts(release(content=b"other"), NOON)
    case = opened(database, jobs)
    jobs.add([new(case=case, slot=slot, quorum=2, plan=Digest.of(b"plan")) for slot in (0, 1)], NOON)
    claimed(jobs, worker("one"))
    jobs.expire(NOON + MINUTE)
    claimed(jobs, worker("two"))


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a file with something of everything, and a backup of it, for copying."""
    directory = tmp_path_factory.mktemp("full")
    database = Database(directory / "ledger.sqlite")
    fill(database)
    backup(database, directory / "backup", NOON)
    return directory


def rows(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    """Read every row of every table."""
    with database.read() as connection:
        return {
            table.name: sorted((tuple(row) for row in connection.execute(sa.select(table))), key=repr)
            for table in farm_tables.jobs.metadata.sorted_tables
        }


def test_a_restored_ledger_is_row_by_row_the_same(database: Database, tmp_path: Path) -> None:
    """From either kind to SQLite, leases alive and all; numbers go on where they were."""
    fill(database)
    copied = backup(database, tmp_path / "backup", NOON)
    assert copied.rows == sum(len(found) for name, found in rows(database).items() if name != "alembic_version")
    other = Database(tmp_path / "other" / "ledger.sqlite")
    assert restore(other, tmp_path / "backup") == copied
    assert rows(other) == rows(database)
    assert backup(other, tmp_path / "again", NOON) == copied
    assert (tmp_path / "again").read_bytes() == (tmp_path / "backup").read_bytes()
    assert examine(other).faults == ()
    assert claim(Jobs(other), worker("three")) is None, "one waits, one is held"


def test_a_ledger_moves_from_sqlite_to_postgresql(postgres_database: Database, tmp_path: Path) -> None:
    """A farm that grew out of its file; new rows get new numbers."""
    small = Database(tmp_path / "ledger.sqlite")
    fill(small)
    backup(small, tmp_path / "backup", NOON)
    restore(postgres_database, tmp_path / "backup")
    assert rows(postgres_database) == rows(small)
    jobs = Jobs(postgres_database)
    (number,) = jobs.add([new("later", JobKind.PLAN)], NOON)
    assert number == max(row[0] for row in rows(small)["jobs"]) + 1
    Ledger(postgres_database).record_comparison(dossier(days=3), "later")
    assert examine(postgres_database).faults == ()


def test_a_backup_is_never_written_over(database: Database, tmp_path: Path) -> None:
    """Nor half written: nothing else is left in its directory."""
    fill(database)
    backup(database, tmp_path / "backup", NOON)
    before = (tmp_path / "backup").read_bytes()
    with pytest.raises(UsageError, match="is there already"):
        backup(database, tmp_path / "backup", NOON)
    assert (tmp_path / "backup").read_bytes() == before
    assert not list(tmp_path.glob(".backup-*"))


def test_only_an_empty_ledger_is_restored_into(database: Database, tmp_path: Path) -> None:
    """What is recorded is not mixed with something else."""
    fill(database)
    backup(database, tmp_path / "backup", NOON)
    before = rows(database)
    with pytest.raises(UsageError, match="expected a ledger of which nothing is owed or recorded, found rows in"):
        restore(database, tmp_path / "backup")
    assert rows(database) == before


def test_what_a_coordinator_without_work_wrote_gives_way(database: Database, full: Path, tmp_path: Path) -> None:
    """Who sweeps, who was enrolled and refused; the ledger is then the backup's, whose number of events goes on."""
    assert Leadership(database).lead("reconciler", "office", NOON, lease=MINUTE) == 1
    workers = Workers(database)
    grant = Grant(roles=(JobKind.REBUILD,), fault_domain="rack-1")
    workers.enrol(workers.make_token(grant, NOON, expires=NOON + MINUTE), Key("k1"), "builder-1", NOON)
    workers.remember("k1", "nonce", NOON, until=NOON + MINUTE)
    event = Event(kind=EventKind.WORKER_REFUSED, subject="k2", detail="not enrolled", at=NOON)
    Ledger(database).record_event(event)
    assert restore(database, full / "backup").replaced == 5
    original = Database(full / "ledger.sqlite")
    assert rows(database) == rows(original)
    assert Leadership(database).lead("reconciler", "office", NOON, lease=MINUTE) == 1
    Ledger(database).record_event(event)


ATTACKS: dict[str, tuple[Callable[[list[bytes]], list[bytes]], str]] = {
    "empty": (lambda _: [], "not a backup"),
    "cut-short": (lambda lines: lines[:-1], "cut short or altered"),
    "a-row-removed": (lambda lines: lines[:3] + lines[4:], "cut short or altered|expected the tables"),
    "a-verdict-altered": (lambda lines: [x.replace(b'"reproduced"', b'"different"') for x in lines], "cut short"),
    "something-after-the-end": (lambda lines: [*lines, b"{}\n"], "cut short or altered"),
    "another-schema": (lambda lines: [lines[0].replace(b'"schema":3', b'"schema":99'), *lines[1:]], "found 99"),
    "an-unknown-table": (lambda lines: [*lines[:1], b'{"columns":["a"],"table":"pg_authid"}\n'], "found pg_authid"),
    "a-row-of-another-length": (lambda lines: [*lines[:2], b"[1]\n", *lines[2:]], "with 1 values"),
    "no-json": (lambda lines: [*lines[:2], b"\xff\n"], "not acceptable JSON"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_a_backup_that_was_altered_is_refused_and_leaves_nothing(
    name: str, database: Database, full: Path, tmp_path: Path
) -> None:
    """Whatever is wrong with it, the ledger is as empty as it was."""
    spoil, message = ATTACKS[name]
    lines = spoil((full / "backup").read_bytes().splitlines(keepends=True))
    (tmp_path / "backup").write_bytes(b"".join(lines))
    with pytest.raises(HostileInput, match=message):
        restore(database, tmp_path / "backup")
    assert {name: len(found) for name, found in rows(database).items() if found} == {"alembic_version": 1}


def test_a_whole_ledger_has_no_faults(database: Database) -> None:
    """And every table is counted."""
    fill(database)
    found = examine(database)
    assert found.faults == ()
    assert dict(found.counts)["jobs"] == 3
    assert dict(found.counts)["leases"] == 2


FAULTS = {
    "job leased to nobody": "UPDATE leases SET ended_at = '2026-11-01T12:00:00Z'",
    "lease alive of a job that is not leased": "UPDATE jobs SET state = 'held' WHERE state = 'leased'",
    "lease under a fence to come": "UPDATE jobs SET fence = 0",
    "job done without a result": "UPDATE jobs SET state = 'done' WHERE kind = 'plan'",
    "job of no case": 'UPDATE jobs SET "case" = NULL',
    "job waiting for no time": "UPDATE jobs SET not_before = NULL",
    "job in a queue that nobody serves": "UPDATE jobs SET queue = 'x'",
    "job whose rank is not its purpose's and its own": "UPDATE jobs SET rank = 7",
    "case closed without a place": "UPDATE cases SET state = 'closed'",
    "case closed while something is owed": "UPDATE cases SET state = 'closed'",
    "run number of a lease that is not reserved": "UPDATE leases SET ordinal = 9",
    "jobs.state is no JobState": "UPDATE jobs SET state = 'splendid' WHERE kind = 'plan'",
    "comparisons.verdict is no Verdict": "UPDATE comparisons SET verdict = 'splendid'",
}


def test_states_that_cannot_be_are_found_on_a_server(postgres_database: Database) -> None:
    """All at once, and the database is asked in its own words."""
    fill(postgres_database)
    with postgres_database.write() as connection:
        for statement in FAULTS.values():
            connection.exec_driver_sql(statement)
    found = [fault.partition(":")[0] for fault in examine(postgres_database).faults]
    assert {"jobs.state is no JobState", "comparisons.verdict is no Verdict"} < set(found)
    assert "job in a queue that nobody serves" in found


@pytest.mark.parametrize("fault", FAULTS)
def test_a_state_that_cannot_be_is_found(fault: str, full: Path, tmp_path: Path) -> None:
    """Each is named with the rows that it is about."""
    shutil.copy(full / "ledger.sqlite", tmp_path)
    database = Database(tmp_path / "ledger.sqlite")
    with database.write() as connection:
        connection.exec_driver_sql(FAULTS[fault])
    assert any(found.startswith(fault) for found in examine(database).faults)


def test_a_row_that_names_nothing_is_found(full: Path, tmp_path: Path) -> None:
    """SQLite's rows can be edited by programs that do not look at foreign keys."""
    shutil.copy(full / "ledger.sqlite", tmp_path)
    database = Database(tmp_path / "ledger.sqlite")
    with sqlite3.connect(tmp_path / "ledger.sqlite") as connection:
        connection.execute("UPDATE jobs SET \"case\" = 99 WHERE kind = 'rebuild'")
    connection.close()
    assert "jobs.case names no row of cases: 99, 99" in examine(database).faults
