"""Enrolment, revocation, nonces and offices, on both databases."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

import pytest
import sqlalchemy as sa

from rebuilder.errors import SignatureRefused, UsageError
from rebuilder.model.digest import Digest
from rebuilder.model.job import JobKind, ResourceClass
from rebuilder.store import farm_tables
from rebuilder.store.blocks import Blocks
from rebuilder.store.database import Database
from rebuilder.store.jobs import Jobs
from rebuilder.store.leadership import Leadership
from rebuilder.store.measured import measure
from rebuilder.store.workers import Grant, Workers
from tests.store.owing import MINUTE, NOON, claim, claimed, new
from tests.store.test_claiming import at_once

DAY = timedelta(days=1)
BUILD = Grant(roles=(JobKind.REBUILD,), fault_domain="rack-1", tags=("amd64", "tmpfs"))


@dataclass(frozen=True)
class Key:
    """A public key by name."""

    keyid: str
    pem: str = "-----BEGIN PUBLIC KEY-----"


@pytest.fixture
def workers(database: Database) -> Workers:
    """Give a farm without workers."""
    return Workers(database)


def test_a_worker_is_what_its_token_says(workers: Workers) -> None:
    """Name and key are its own; role, tags, resources and fault domain are the operator's."""
    token = workers.make_token(BUILD, NOON, expires=NOON + DAY)
    worker = workers.enrol(token, Key("k1"), "builder-1", NOON + MINUTE)
    assert (worker.keyid, worker.name, worker.enrolled_at) == ("k1", "builder-1", NOON + MINUTE)
    assert (worker.roles, worker.tags, worker.fault_domain) == (BUILD.roles, BUILD.tags, "rack-1")
    assert worker.resources == (ResourceClass.SMALL,)
    assert workers.find("k1") == worker
    assert workers.every() == (worker,)
    assert workers.find("k2") is None


def test_an_unused_token_is_listed_and_revoked(workers: Workers) -> None:
    """As long as somebody could enrol with it, by the digest of what was handed out; afterwards nobody can."""
    late, soon = (workers.make_token(BUILD, NOON, expires=NOON + DAY * days) for days in (2, 1))
    tokens = workers.unused_tokens(NOON)
    assert [(each.digest, each.grant, each.expires_at) for each in tokens] == [
        (Digest.of(soon.encode()), BUILD, NOON + DAY),
        (Digest.of(late.encode()), BUILD, NOON + 2 * DAY),
    ]
    assert workers.unused_tokens(NOON + DAY) == tokens[1:]
    workers.revoke_token(tokens[0].digest)
    with pytest.raises(SignatureRefused, match="the enrolment token is unknown"):
        workers.enrol(soon, Key("k1"), "builder-1", NOON)
    workers.enrol(late, Key("k1"), "builder-1", NOON)
    assert workers.unused_tokens(NOON) == ()
    for gone in tokens:
        with pytest.raises(UsageError, match=f"no unused token {gone.digest.hex[:16]}"):
            workers.revoke_token(gone.digest)
    assert workers.every() != ()


def test_a_token_is_used_once(workers: Workers) -> None:
    """The same key may ask again, even later; another one may not."""
    token = workers.make_token(BUILD, NOON, expires=NOON + DAY)
    first = workers.enrol(token, Key("k1"), "builder-1", NOON)
    assert workers.enrol(token, Key("k1"), "another-name", NOON + 2 * DAY) == first
    with pytest.raises(SignatureRefused, match="was used by key k1"):
        workers.enrol(token, Key("k2"), "builder-2", NOON)


def test_a_token_that_two_use_at_once_is_one_workers(workers: Workers) -> None:
    """Whoever is second is refused."""
    token, enrolled = workers.make_token(BUILD, NOON, expires=NOON + DAY), list[str]()

    def ask(number: int) -> None:
        with suppress(SignatureRefused):
            enrolled.append(workers.enrol(token, Key(f"k{number}"), "builder", NOON).keyid)

    at_once(5, ask)
    assert [worker.keyid for worker in workers.every()] == enrolled
    assert len(enrolled) == 1


def test_unknown_and_expired_tokens_are_refused(workers: Workers) -> None:
    """With the time at which it expired."""
    token = workers.make_token(BUILD, NOON, expires=NOON + DAY)
    with pytest.raises(SignatureRefused, match="unknown"):
        workers.enrol(token + "x", Key("k1"), "builder-1", NOON)
    with pytest.raises(SignatureRefused, match="expired at 2026-11-02 12:00"):
        workers.enrol(token, Key("k1"), "builder-1", NOON + DAY)
    with pytest.raises(UsageError, match="expired already"):
        workers.make_token(BUILD, NOON, expires=NOON)
    assert workers.every() == ()


def test_the_database_does_not_hold_the_secret(workers: Workers, database: Database) -> None:
    """Who reads it cannot enrol."""
    token = workers.make_token(BUILD, NOON, expires=NOON + DAY)
    with database.read() as connection:
        (row,) = connection.execute(sa.select(farm_tables.tokens)).all()
    assert token not in str(tuple(row))


def test_a_new_token_gives_a_key_another_scope(workers: Workers) -> None:
    """The operator changes what a worker may do by having it enrol again."""
    workers.enrol(workers.make_token(BUILD, NOON, expires=NOON + DAY), Key("k1"), "builder-1", NOON)
    other = Grant(roles=(JobKind.COMPARE,), fault_domain="rack-2")
    worker = workers.enrol(workers.make_token(other, NOON, expires=NOON + DAY), Key("k1"), "comparer", NOON + DAY / 2)
    assert (worker.roles, worker.fault_domain, worker.name) == ((JobKind.COMPARE,), "rack-2", "comparer")
    assert worker.enrolled_at == NOON


def test_a_revoked_worker_loses_what_it_holds_and_cannot_come_back(workers: Workers, database: Database) -> None:
    """Its leases expire at once; its key is refused, whatever token it has."""
    jobs = Jobs(database)
    builder = workers.enrol(workers.make_token(BUILD, NOON, expires=NOON + DAY), Key("k1"), "builder-1", NOON)
    jobs.add([new()], NOON)
    claimed(jobs, builder)
    workers.revoke("k1", NOON + MINUTE / 6)
    assert len(jobs.expire(NOON + MINUTE / 6)) == 1
    found = workers.find("k1")
    assert found is not None
    assert found.revoked_at is not None
    workers.revoke("k1", NOON + DAY)
    assert workers.find("k1") == found, "when it was revoked first stays"
    token = workers.make_token(BUILD, NOON, expires=NOON + DAY)
    with pytest.raises(SignatureRefused, match="key k1 is revoked"):
        workers.enrol(token, Key("k1"), "builder-1", NOON)
    with pytest.raises(UsageError, match="no worker with key k9"):
        workers.revoke("k9", NOON)


def test_draining_is_said_and_taken_back(workers: Workers) -> None:
    """Of a worker that there is."""
    workers.enrol(workers.make_token(BUILD, NOON, expires=NOON + DAY), Key("k1"), "builder-1", NOON)
    workers.drain("k1")
    assert [worker.draining for worker in workers.every()] == [True]
    workers.drain("k1", draining=False)
    assert [worker.draining for worker in workers.every()] == [False]
    with pytest.raises(UsageError, match="no worker"):
        workers.drain("k9")


def test_a_farm_that_drains_leaves_alone_who_drains_alone(workers: Workers, database: Database) -> None:
    """Nobody gets anything new, also who enrols meanwhile; afterwards all do but the one that a person drained."""
    for key in ("k1", "k2"):
        workers.enrol(workers.make_token(BUILD, NOON, expires=NOON + DAY), Key(key), key, NOON)
    workers.drain("k1")
    workers.drain_farm(NOON)
    workers.drain_farm(NOON + MINUTE)
    workers.enrol(workers.make_token(BUILD, NOON, expires=NOON + DAY), Key("k3"), "k3", NOON)
    assert [worker.draining for worker in workers.every()] == [True, True, True]
    assert [(count.words, count.count) for count in measure(database, NOON, window=DAY).workers] == [(("draining",), 3)]
    newest = workers.find("k3")
    assert newest is not None
    Jobs(database).add([new()], NOON)
    assert claim(Jobs(database), newest) is None
    workers.drain_farm(NOON, draining=False)
    assert [worker.draining for worker in workers.every()] == [True, False, False]
    assert [row.suite for row in Blocks(database).suites()] == []


def test_when_a_worker_was_seen_is_known_to_ten_seconds(workers: Workers) -> None:
    """Not each request is a write."""
    workers.enrol(workers.make_token(BUILD, NOON, expires=NOON + DAY), Key("k1"), "builder-1", NOON)
    seen = []
    for seconds in (0, 9, 11):
        workers.seen("k1", NOON + timedelta(seconds=seconds))
        seen.append(workers.every()[0].seen_at)
    assert seen == [NOON, NOON, NOON + timedelta(seconds=11)]


def test_a_nonce_is_new_once(workers: Workers, database: Database) -> None:
    """For each key of its own; it is forgotten when no request can name it any more."""
    until = NOON + MINUTE
    assert workers.remember("k1", "n", NOON, until=until)
    assert not workers.remember("k1", "n", NOON, until=until)
    assert workers.remember("k2", "n", NOON, until=until)
    assert workers.remember("k1", "m", NOON + 2 * MINUTE, until=NOON + 3 * MINUTE)
    with database.read() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(farm_tables.nonces)) == 1


def test_a_nonce_that_is_sent_many_times_at_once_is_new_once(workers: Workers) -> None:
    """A replay is no faster than the request."""
    answers: list[bool] = []
    at_once(6, lambda _: answers.append(workers.remember("k1", "n", NOON, until=NOON + MINUTE)))
    assert sorted(answers) == [False] * 5 + [True]


@pytest.mark.parametrize("word", ["", "two words", "a,b", "a/b", "a+b"])
def test_a_fault_domain_is_one_word(word: str) -> None:
    """And somebody must have named it; a worker without a role could do nothing."""
    with pytest.raises(UsageError, match="a word without"):
        Grant(roles=(JobKind.PLAN,), fault_domain=word)
    with pytest.raises(UsageError, match="without a role"):
        Grant(roles=(), fault_domain="rack")


def test_an_office_has_one_holder(database: Database) -> None:
    """Kept by renewing; taken over when it was not renewed, under a higher fence."""
    offices = Leadership(database)
    assert offices.lead("sweep", "a", NOON, lease=MINUTE) == 1
    assert offices.lead("sweep", "b", NOON, lease=MINUTE) is None
    assert offices.lead("other", "b", NOON, lease=MINUTE) == 1
    assert offices.lead("sweep", "a", NOON + MINUTE / 2, lease=MINUTE) == 1
    assert offices.lead("sweep", "b", NOON + MINUTE, lease=MINUTE) is None
    assert offices.lead("sweep", "b", NOON + 2 * MINUTE, lease=MINUTE) == 2
    assert offices.lead("sweep", "a", NOON + 2 * MINUTE, lease=MINUTE) is None
    assert offices.lead("sweep", "b", NOON + 9 * MINUTE, lease=MINUTE) == 3, "it was let go in between"


def test_an_office_that_many_want_at_once_has_one_holder(database: Database) -> None:
    """Of six coordinators that start together, one leads."""
    offices, fences = Leadership(database), list[int | None]()
    at_once(6, lambda number: fences.append(offices.lead("sweep", str(number), NOON, lease=MINUTE)))
    assert sorted(fence for fence in fences if fence) == [1]
    at_once(6, lambda number: fences.append(offices.lead("sweep", str(number), NOON + MINUTE, lease=MINUTE)))
    assert sorted(fence for fence in fences if fence) == [1, 2]
