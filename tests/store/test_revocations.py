"""Who was revoked stays so, whichever ledger he is held against, on both databases."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from rebuilder.errors import ConfigurationError, SignatureRefused
from rebuilder.store.backup import backup, restore
from rebuilder.store.database import Database
from rebuilder.store.jobs import Jobs
from rebuilder.store.revocations import Revocations
from rebuilder.store.workers import Workers
from tests.store.owing import MINUTE, NOON, claimed, new
from tests.store.test_workers import BUILD, Key

DAY = timedelta(days=1)


def enrolled(workers: Workers) -> None:
    """Enrol one builder by a token."""
    workers.enrol(workers.make_token(BUILD, NOON, expires=NOON + DAY), Key("k1"), "builder-1", NOON)


def revoked(state: Path, tmp_path: Path) -> None:
    """Revoke the builder in a ledger that is then lost, of which there is a backup of before, as `backup`."""
    lost = Database(tmp_path / "lost.sqlite")
    workers, jobs = Workers(lost), Jobs(lost)
    enrolled(workers)
    workers.make_token(BUILD, NOON, expires=NOON + DAY)
    jobs.add([new()], NOON)
    builder = workers.find("k1")
    assert builder is not None
    claimed(jobs, builder)
    backup(lost, tmp_path / "backup", NOON)
    Revocations(state).revoke(builder, workers, NOON + MINUTE / 2)


def test_an_older_ledger_lets_no_revoked_key_in(database: Database, tmp_path: Path) -> None:
    """A backup of before the revocation has the worker enrolled, with a lease: both end. Unused tokens are gone."""
    revoked(tmp_path, tmp_path)
    restore(database, tmp_path / "backup")
    workers = Workers(database)
    assert workers.unused_tokens(NOON) == ()
    (again,) = Revocations(tmp_path).agree(workers)
    assert (again.name, again.revoked_at) == ("builder-1", NOON + MINUTE / 2)
    assert [worker.revoked_at for worker in workers.every()] == [NOON + MINUTE / 2]
    assert len(Jobs(database).expire(NOON + MINUTE / 2)) == 1
    assert Revocations(tmp_path).agree(workers) == ()


def test_an_empty_ledger_enrols_no_revoked_key(database: Database, tmp_path: Path) -> None:
    """It is known there as revoked, so that neither a token nor a member's file enrols it."""
    revoked(tmp_path, tmp_path)
    workers = Workers(database)
    assert len(Revocations(tmp_path).agree(workers)) == 1
    with pytest.raises(SignatureRefused, match="key k1 is revoked"):
        enrolled(workers)


def test_what_the_ledger_has_revoked_is_noted_beside_it(database: Database, tmp_path: Path) -> None:
    """As a coordinator does for what was revoked elsewhere; who was not revoked has no file."""
    workers = Workers(database)
    enrolled(workers)
    assert Revocations(tmp_path).agree(workers) == ()
    assert not list(tmp_path.glob("revoked/*"))
    workers.revoke("k1", NOON)
    assert Revocations(tmp_path).agree(workers) == ()
    assert [path.name for path in tmp_path.glob("revoked/*")] == ["k1.json"]


@pytest.mark.parametrize("how", ["no-json", "another-key"])
def test_a_revocation_that_cannot_be_read_stops_whoever_relies_on_it(how: str, tmp_path: Path) -> None:
    """It kept somebody out, and nobody knows whom: nothing starts until a person has looked."""
    revoked(tmp_path, tmp_path)
    (path,) = tmp_path.glob("revoked/*")
    path.write_bytes(b"{") if how == "no-json" else path.rename(path.with_name("k2.json"))
    with pytest.raises(ConfigurationError, match="expected a revoked worker"):
        Revocations(tmp_path).agree(Workers(Database(tmp_path / "ledger.sqlite")))
