"""`rebuilder ledger upgrade|backup|restore|check`: what a person who looks after a ledger types."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from rebuilder.store.ledger import open_ledger
from rebuilder.store.tables import SCHEMA_VERSION
from tests.servers import Postgres
from tests.store.conftest import dossier

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def ledger_file(tmp_path: Path) -> Path:
    """Make a ledger with one conclusion, where the command line looks for it."""
    path = tmp_path / "xdg_state_home" / "rebuilder" / "ledger.sqlite"
    open_ledger(path).record_comparison(dossier(), "run")
    return path


def test_a_backup_is_restored(cli: Cli, ledger_file: Path, tmp_path: Path) -> None:
    """Written to a file, read into an empty ledger; the answers are the same."""
    code, out, _ = cli("ledger", "backup", "saved", "--json")
    assert code == 0
    rows = json.loads(out)["rows"]
    code, before, _ = cli("ledger", "history", "demo")
    ledger_file.rename(tmp_path / "lost.sqlite")
    code, out, _ = cli("ledger", "restore", "saved")
    assert (code, out.split(": ")[1].split()[0]) == (0, str(rows))
    assert cli("ledger", "history", "demo")[:2] == (0, before)
    for name, words in (("saved", "is there already"), ("absent/saved", "its directory is not there")):
        code, _, err = cli("ledger", "backup", name)
        assert code == 2
        assert words in err


def test_what_is_no_backup_is_refused(cli: Cli, tmp_path: Path) -> None:
    """With the exit code of untrusted input; a file that is not there is ours to say, too."""
    (tmp_path / "other").write_text('{"format": "something"}\n')
    code, _, err = cli("ledger", "restore", "other")
    assert code == 3
    assert "not a backup of a ledger" in err
    code, _, err = cli("ledger", "restore", "absent")
    assert (code, "absent: no such file" in err, "`rebuilder ledger backup` wrote" in err) == (2, True, True)


def test_a_whole_ledger_and_a_broken_one(cli: Cli, ledger_file: Path) -> None:
    """Counts, and 0; faults, and 4."""
    code, out, _ = cli("ledger", "check")
    assert code == 0
    assert "nothing is wrong" in out
    with sqlite3.connect(ledger_file) as connection:
        connection.execute("UPDATE comparisons SET verdict = 'splendid'")
    connection.close()
    code, out, _ = cli("ledger", "check", "--json")
    assert code == 4
    assert json.loads(out)["faults"] == ["comparisons.verdict is no Verdict: splendid"]


@pytest.mark.usefixtures("postgres_database")  # empties what tests before it left there
def test_a_server_is_found_by_the_settings(cli: Cli, postgres_server: Postgres, tmp_path: Path) -> None:
    """Address and password file; upgraded, checked; a password that is empty is refused before anything is asked."""
    (tmp_path / "password").write_text(f"{postgres_server.password}\n")
    text = f'[farm]\ndatabase = "{postgres_server.address}"\ndatabase_password_file = "password"\n'
    (tmp_path / "rebuilder.toml").write_text(text)
    code, out, _ = cli("ledger", "upgrade", "--json")
    assert (code, json.loads(out)["schema"]) == (0, SCHEMA_VERSION)
    assert cli("ledger", "check")[0] == 0
    (tmp_path / "password").write_text("\n")
    code, _, err = cli("ledger", "check")
    assert code == 2
    assert "holds no password" in err
