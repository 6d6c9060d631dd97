"""Who may work: enrolment by a one-time token, revocation, and the nonces of requests that were answered.

A worker's key is its identity. What it may claim comes from the token that the operator made, never from itself. Tokens
are kept as digests: who reads the database cannot enrol.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from rebuilder.errors import SignatureRefused, UsageError
from rebuilder.model.digest import Digest
from rebuilder.model.job import JobKind, ResourceClass, Worker
from rebuilder.store import farm_tables
from rebuilder.store.database import Database
from rebuilder.store.dialects import insert
from rebuilder.store.job_rows import words

_WORKERS = farm_tables.workers
_TOKENS = farm_tables.tokens
_NONCES = farm_tables.nonces
_LEASES = farm_tables.leases
_SUITES = farm_tables.suites
_EVERY_SUITE = "*"
"""The row of `suites` that is about all of them: while it is paused, no worker gets anything new."""
FARM_DRAINS = sa.exists(
    sa.select(_SUITES.c.suite).where((_SUITES.c.suite == _EVERY_SUITE) & _SUITES.c.paused.is_not(None))
)
"""Whether the whole farm drains, in SQL."""
_KNOWN = sa.select(_WORKERS, FARM_DRAINS.label("farm_drains"))
_TOKEN_BYTES = 32
_SEEN_EVERY = timedelta(seconds=10)
_SWEPT_AT_ONCE = 100
_ASK = "ask the operator for a new token"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What a token gives to the worker that enrols with it."""

    roles: tuple[JobKind, ...]
    fault_domain: str
    tags: tuple[str, ...] = ()
    resources: tuple[ResourceClass, ...] = (ResourceClass.SMALL,)

    def __post_init__(self) -> None:
        if not self.roles or not self.resources:
            raise UsageError("a worker without a role or a resource class could claim nothing", hint="name one of each")
        for word in (self.fault_domain, *self.tags):
            if not word or not set(word).isdisjoint(",/+ "):
                raise UsageError(
                    f"{word!r}: a word without comma, plus, slash and space is expected", hint="for instance rack-1"
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A token that nobody used yet, as the ledger knows it: without the secret."""

    digest: Digest
    """Of the secret: names the token, and enrols nobody."""
    grant: Grant
    expires_at: datetime


class Key(Protocol):
    """A public key: its identity, and its text."""

    @property
    def keyid(self) -> str:
        """SHA-256 that names it."""

    @property
    def pem(self) -> str:
        """SubjectPublicKeyInfo."""


class Workers:
    """The ledger's workers, enrolment tokens and nonces."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def make_token(self, grant: Grant, at: datetime, *, expires: datetime) -> str:
        """Make a secret that one key may enrol with until then; only its digest is kept."""
        if expires <= at:
            raise UsageError("the token would have expired already", hint="name a time to come")
        secret = secrets.token_urlsafe(_TOKEN_BYTES)
        values = {
            "digest": Digest.of(secret.encode()),
            "roles": ",".join(grant.roles),
            "tags": ",".join(grant.tags),
            "resources": ",".join(grant.resources),
            "domain": grant.fault_domain,
            "made_at": at,
            "expires_at": expires,
        }
        with self._database.write() as connection:
            connection.execute(_TOKENS.insert().values(**values))
        return secret

    def unused_tokens(self, at: datetime) -> tuple[Token, ...]:
        """Return the tokens that somebody could still enrol with, the first to expire first."""
        unused = _TOKENS.c.used_by.is_(None) & (_TOKENS.c.expires_at > at)
        query = sa.select(_TOKENS).where(unused).order_by(_TOKENS.c.expires_at, _TOKENS.c.digest)
        with self._database.read() as connection:
            return tuple(_token(row) for row in connection.execute(query))

    def revoke_token(self, digest: Digest) -> None:
        """Let nobody enrol with a token; raise UsageError for one that is unknown, or that a key was enrolled with."""
        unused = (_TOKENS.c.digest == digest) & _TOKENS.c.used_by.is_(None)
        with self._database.write() as connection:
            if not connection.execute(_TOKENS.delete().where(unused)).rowcount:
                raise UsageError(
                    f"no unused token {digest.hex[:16]}", hint="if a key was enrolled with it, revoke that key"
                )

    def enrol(self, token: str, key: Key, name: str, at: datetime) -> Worker:
        """Use up a token for a key; the same key may ask again, for the answer may have got lost.

        SignatureRefused when the token is unknown, expired or used by another key, or the key is revoked.
        """
        with self._database.write() as connection:
            digest = Digest.of(token.encode())
            row = connection.execute(sa.select(_TOKENS).where(_TOKENS.c.digest == digest).with_for_update()).first()
            if row is None:
                raise SignatureRefused("the enrolment token is unknown", hint=_ASK)
            if row.used_by is not None and row.used_by != key.keyid:
                raise SignatureRefused(f"the enrolment token was used by key {row.used_by[:16]}", hint=_ASK)
            if row.used_by is None:
                if row.expires_at <= at:
                    raise SignatureRefused(f"the enrolment token expired at {row.expires_at:%Y-%m-%d %H:%M}", hint=_ASK)
                connection.execute(_TOKENS.update().where(_TOKENS.c.digest == digest).values(used_by=key.keyid))
                _record(connection, row, key, name, at)
            worker = _find(connection, key.keyid)
            if worker is None or worker.revoked_at is not None:
                raise SignatureRefused(f"key {key.keyid[:16]} is revoked", hint="make a new key, and enrol that one")
            return worker

    def find(self, keyid: str) -> Worker | None:
        """Return a worker, also a revoked one; None for a key that never enrolled."""
        with self._database.read() as connection:
            return _find(connection, keyid)

    def every(self) -> tuple[Worker, ...]:
        """Return all workers, by name."""
        query = _KNOWN.order_by(_WORKERS.c.name, _WORKERS.c.keyid)
        with self._database.read() as connection:
            return tuple(_worker(row) for row in connection.execute(query))

    def seen(self, keyid: str, at: datetime) -> None:
        """Note that a worker was heard of; to ten seconds, for it is asked at each request."""
        stale = (_WORKERS.c.keyid == keyid) & (_WORKERS.c.seen_at.is_(None) | (_WORKERS.c.seen_at < at - _SEEN_EVERY))
        with self._database.read() as connection:
            is_stale = connection.execute(sa.select(_WORKERS.c.keyid).where(stale)).first() is not None
        if is_stale:
            with self._database.write() as connection:
                connection.execute(_WORKERS.update().where(stale).values(seen_at=at))

    def remember(self, keyid: str, nonce: str, at: datetime, *, until: datetime) -> bool:
        """Keep a nonce until then; return whether it is new. A few of those that may be forgotten go."""
        expired = sa.select(_NONCES.c.keyid, _NONCES.c.nonce).where(_NONCES.c.expires_at < at).limit(_SWEPT_AT_ONCE)
        with self._database.write() as connection:
            gone = sa.tuple_(_NONCES.c.keyid, _NONCES.c.nonce).in_(expired.with_for_update(skip_locked=True))
            values = {"keyid": keyid, "nonce": nonce, "expires_at": until}
            statement = insert(connection, _NONCES).values(**values).on_conflict_do_nothing()
            made = connection.execute(statement.returning(_NONCES.c.nonce)).first()
            connection.execute(_NONCES.delete().where(gone))
        return made is not None

    def revoke(self, keyid: str, at: datetime) -> None:
        """Let a worker in no more; what it holds expires now, so that the next sweep takes it back."""
        with self._database.write() as connection:
            ours = (_WORKERS.c.keyid == keyid) & _WORKERS.c.revoked_at.is_(None)
            if not connection.execute(_WORKERS.update().where(ours).values(revoked_at=at)).rowcount:
                _required(connection, keyid)
            _expire_leases(connection, keyid, at)

    def keep_revoked(self, worker: Worker) -> None:
        """Have a key be revoked here that was revoked before, whether this ledger knows it or not.

        An older ledger may have it as enrolled, or an empty one not at all; then it is known as revoked from now on.
        """
        if worker.revoked_at is None:
            raise UsageError(f"worker {worker.name} was never revoked", hint="say `rebuilder workers revoke`")
        values = {
            "keyid": worker.keyid,
            "pem": worker.pem,
            "name": worker.name,
            "roles": ",".join(worker.roles),
            "tags": ",".join(worker.tags),
            "resources": ",".join(worker.resources),
            "domain": worker.fault_domain,
            "enrolled_at": worker.enrolled_at,
            "seen_at": worker.seen_at,
            "revoked_at": worker.revoked_at,
            "draining": worker.draining,
        }
        with self._database.write() as connection:
            statement = insert(connection, _WORKERS).values(**values)
            revoked = {"revoked_at": sa.func.coalesce(_WORKERS.c.revoked_at, statement.excluded.revoked_at)}
            connection.execute(statement.on_conflict_do_update(index_elements=["keyid"], set_=revoked))
            _expire_leases(connection, worker.keyid, worker.revoked_at)

    def drain(self, keyid: str, *, draining: bool = True) -> None:
        """Give a worker nothing new any more, or again unless the farm drains; it finishes what it holds."""
        with self._database.write() as connection:
            _required(connection, keyid)
            connection.execute(_WORKERS.update().where(_WORKERS.c.keyid == keyid).values(draining=draining))

    def drain_farm(self, at: datetime, *, draining: bool = True) -> None:
        """Give no worker anything new any more, also none that comes; or again to all but those that drain alone."""
        with self._database.write() as connection:
            if not draining:
                connection.execute(_SUITES.delete().where(_SUITES.c.suite == _EVERY_SUITE))
                return
            values = {"paused": "the farm drains, by `rebuilder drain`", "changed_at": at}
            statement = insert(connection, _SUITES).values(suite=_EVERY_SUITE, **values)
            connection.execute(statement.on_conflict_do_update(index_elements=["suite"], set_=values))


def _record(connection: Connection, token: Row[Any], key: Key, name: str, at: datetime) -> None:
    """Keep a worker as the token has it; a key that enrols with another token gets that one's scope."""
    current = {
        "name": name,
        "roles": token.roles,
        "tags": token.tags,
        "resources": token.resources,
        "domain": token.domain,
    }
    statement = insert(connection, _WORKERS).values(
        keyid=key.keyid, pem=key.pem, enrolled_at=at, draining=False, **current
    )
    connection.execute(statement.on_conflict_do_update(index_elements=["keyid"], set_=current))


def _expire_leases(connection: Connection, keyid: str, at: datetime) -> None:
    held = (_LEASES.c.worker == keyid) & _LEASES.c.ended_at.is_(None)
    connection.execute(_LEASES.update().where(held).values(expires_at=at))


def _required(connection: Connection, keyid: str) -> Worker:
    worker = _find(connection, keyid)
    if worker is None:
        raise UsageError(f"no worker with key {keyid[:16]}", hint="`rebuilder workers list` shows them")
    return worker


def _find(connection: Connection, keyid: str) -> Worker | None:
    row = connection.execute(_KNOWN.where(_WORKERS.c.keyid == keyid)).first()
    return None if row is None else _worker(row)


def _token(row: Row[Any]) -> Token:
    grant = Grant(
        roles=tuple(JobKind(word) for word in words(row.roles)),
        fault_domain=row.domain,
        tags=words(row.tags),
        resources=tuple(ResourceClass(word) for word in words(row.resources)),
    )
    return Token(digest=row.digest, grant=grant, expires_at=row.expires_at)


def _worker(row: Row[Any]) -> Worker:
    return Worker(
        keyid=row.keyid,
        pem=row.pem,
        name=row.name,
        roles=tuple(JobKind(word) for word in words(row.roles)),
        tags=words(row.tags),
        resources=tuple(ResourceClass(word) for word in words(row.resources)),
        fault_domain=row.domain,
        enrolled_at=row.enrolled_at,
        seen_at=row.seen_at,
        revoked_at=row.revoked_at,
        draining=row.draining or bool(row.farm_drains),
    )
