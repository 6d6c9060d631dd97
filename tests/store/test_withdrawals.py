"""Withdrawals in the ledger, and ledgers from before there were any."""

from __future__ import annotations

import base64
import json
import sqlite3
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from rebuilder.errors import StorageFailure
from rebuilder.model.cause import Cause
from rebuilder.model.codec import render
from rebuilder.model.digest import Digest
from rebuilder.model.dossier import Dossier
from rebuilder.model.rebuild_id import RebuildId, subject_of
from rebuilder.model.rebuild_id import render as render_id
from rebuilder.model.verdict import Verdict
from rebuilder.model.withdrawal import FILE_NAME, Successor, Withdrawal, write_predicate
from rebuilder.store.ledger import Ledger, open_ledger
from rebuilder.store.restore import rebuild_from
from rebuilder.store.tables import SCHEMA_VERSION
from tests.store.conftest import BUILDER, NOON, dossier

KEY = "c" * 64
ASSETS = Path(__file__).parent / "assets"
"""`ledger-schema-N.sql` is what the program with that schema wrote, before there was Alembic: two conclusions about one
package, the second one different; with schema 2 that one is withdrawn."""

WORSE = dossier(Verdict.DIFFERENT, version="1.1-1", days=1, causes=(Cause.PAYLOAD_CHANGED,))


def withdrawal_of(made: Dossier, successor: Dossier | None = None) -> Withdrawal:
    """Withdraw the result of a dossier."""
    return Withdrawal(
        rebuild_id=_name(made),
        dossier=Digest.of(render(made)),
        attester=KEY,
        reason="a bad disk",
        superseded_by=Successor(rebuild_id=_name(successor), dossier=Digest.of(render(successor)))
        if successor
        else None,
        withdrawn_at=NOON + timedelta(days=3),
    )


def _name(made: Dossier) -> str:
    return render_id(RebuildId.of(subject_of(made), builder=BUILDER, ordinal=0))


def envelope(withdrawal: Withdrawal, keyid: str = KEY) -> bytes:
    """Give a withdrawal the shape of a signed document."""
    statement = {"predicate": write_predicate(withdrawal, verdict="different")}
    payload = base64.b64encode(render(statement)).decode()
    return json.dumps({"payload": payload, "payloadType": "t", "signatures": [{"keyid": keyid, "sig": ""}]}).encode()


def make_old(path: Path, schema: int = 1) -> None:
    """Make a ledger file as it was with an older schema."""
    path.parent.mkdir(parents=True)
    with sqlite3.connect(path) as connection:
        connection.executescript((ASSETS / f"ledger-schema-{schema}.sql").read_text("utf-8"))
    connection.close()


def version_of(path: Path) -> int:
    """Read the schema's number."""
    connection = sqlite3.connect(path)
    (number,) = connection.execute("PRAGMA user_version").fetchone()
    connection.close()
    return int(number)


def test_a_withdrawn_conclusion_says_nothing_any_more(ledger: Ledger) -> None:
    """History tells the reason in the verdict's place; it is no regression, and recording it twice is once."""
    for made in (dossier(), WORSE):
        ledger.record_comparison(made, "deb/demo")
    assert len(ledger.regressions()) == 1
    for _ in range(2):
        assert ledger.record_withdrawal(withdrawal_of(WORSE), Digest.of(b"document"))
    newest, first = ledger.history("demo")
    assert (newest.withdrawn, newest.verdict, newest.causes) == ("a bad disk", Verdict.UNDECIDED, ())
    assert (first.withdrawn, first.verdict) == (None, Verdict.REPRODUCED)
    assert ledger.regressions() == ()
    assert len(ledger.latest()) == 2


def test_the_row_holds_key_document_and_successor(ledger: Ledger, path: Path) -> None:
    """What was signed, by whom, and in favour of what."""
    ledger.record_comparison(WORSE, "deb/demo")
    ledger.record_withdrawal(withdrawal_of(WORSE, dossier()), Digest.of(b"document"))
    connection = sqlite3.connect(path)
    (row,) = connection.execute("SELECT reason, key, superseded_by, digest, withdrawn_at FROM withdrawals").fetchall()
    connection.close()
    digests = (str(Digest.of(render(dossier()))), str(Digest.of(b"document")))
    assert row == ("a bad disk", KEY, *digests, "2026-11-04T12:00:00Z")


def test_an_unknown_dossier_is_told(ledger: Ledger) -> None:
    """The caller records the comparison first."""
    assert not ledger.record_withdrawal(withdrawal_of(WORSE), Digest.of(b"document"))


def test_an_older_ledger_is_upgraded_in_place(path: Path) -> None:
    """A file that schema 1 wrote keeps all that it holds, and takes withdrawals from now on."""
    make_old(path)
    assert version_of(path) == 1
    ledger = open_ledger(path)
    assert version_of(path) == SCHEMA_VERSION
    assert [line.version for line in ledger.history("demo")] == ["1.1-1", "1.0-1"]
    assert len(ledger.regressions()) == 1
    assert ledger.record_withdrawal(withdrawal_of(WORSE), Digest.of(b"document"))
    assert open_ledger(path).history("demo")[0].withdrawn == "a bad disk"
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


def test_an_upgrade_keeps_withdrawals(path: Path) -> None:
    """A file that schema 2 wrote, where they are already: the same one again changes nothing."""
    make_old(path, 2)
    assert version_of(path) == 2
    ledger = open_ledger(path)
    assert version_of(path) == SCHEMA_VERSION
    newest, first = ledger.history("demo")
    assert (newest.withdrawn, newest.verdict) == ("a bad disk", Verdict.UNDECIDED)
    assert (first.withdrawn, first.verdict) == (None, Verdict.REPRODUCED)
    assert ledger.regressions() == ()
    assert ledger.record_withdrawal(withdrawal_of(WORSE), Digest.of(b"another document"))
    with sqlite3.connect(path) as connection:
        rows = connection.execute("SELECT digest FROM withdrawals").fetchall()
    connection.close()
    assert rows == [(str(Digest.of(b"document")),)]


@pytest.mark.parametrize("schema", [1, 2])
def test_an_upgraded_ledger_has_the_tables_of_a_new_one(schema: int, path: Path, tmp_path: Path) -> None:
    """Whichever way it came to be, the schema is one."""

    def tables(file: Path) -> list[Any]:
        connection = sqlite3.connect(file)
        rows = connection.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall()
        connection.close()
        return rows

    make_old(path, schema)
    open_ledger(path)
    open_ledger(tmp_path / "new.sqlite")
    assert tables(path) == tables(tmp_path / "new.sqlite")


def test_an_upgrade_that_cannot_write_leaves_the_old(path: Path) -> None:
    """While another program writes, the file stays of schema 1 and readable by whoever knows that."""
    make_old(path)
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    try:
        with pytest.raises(StorageFailure, match="locked"):
            open_ledger(path, busy_timeout_ms=50)
    finally:
        blocker.close()
    assert version_of(path) == 1
    assert len(open_ledger(path).history("demo")) == 2


def test_a_lost_ledger_learns_of_withdrawals_from_the_documents(tmp_path: Path, ledger: Ledger) -> None:
    """A restoration knows what was withdrawn and counts the document."""
    directory = tmp_path / "results/deb/demo/1.1-1/amd64" / _name(WORSE)
    directory.mkdir(parents=True)
    (directory / "dossier.json").write_bytes(render(WORSE))
    (directory / FILE_NAME).write_bytes(envelope(withdrawal_of(WORSE)))
    restored = rebuild_from(ledger, tmp_path / "results")
    assert (restored.dossiers, restored.documents, restored.refused) == (1, 1, ())
    assert ledger.history("demo")[0].withdrawn == "a bad disk"


def _link(path: Path) -> None:
    path.rename(path.with_name("elsewhere.json"))
    path.symlink_to(path.with_name("elsewhere.json"))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: path.write_bytes(envelope(withdrawal_of(dossier()))), "not the result beside which it lies"),
        (lambda path: path.write_bytes(envelope(withdrawal_of(WORSE), "d" * 64)), "not signed by the key that it"),
        (lambda path: path.write_bytes(b"{}"), "not a withdrawal in an envelope"),
        (lambda path: path.write_bytes(b"[]"), "not signed by the key that it names"),
        (lambda path: path.write_bytes(b'{"payload": 1, "signatures": []}'), "not a withdrawal in an envelope"),
        (_link, "a link in the place of a document"),
    ],
)
def test_attack_withdrawal_that_is_none_is_not_recorded(
    tmp_path: Path, ledger: Ledger, spoil: Callable[[Path], object], message: str
) -> None:
    """It is named and left out; the conclusion stays what it was."""
    directory = tmp_path / "results/deb/demo/1.1-1/amd64" / _name(WORSE)
    directory.mkdir(parents=True)
    (directory / "dossier.json").write_bytes(render(WORSE))
    (directory / FILE_NAME).write_bytes(envelope(withdrawal_of(WORSE)))
    spoil(directory / FILE_NAME)
    (refusal,) = rebuild_from(ledger, tmp_path / "results").refused
    assert message in refusal
    assert ledger.history("demo")[0].verdict is Verdict.DIFFERENT
