"""Settles who sent a request, before anything of it is acted on."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from rebuilder.attest.keys import PublicKey, parse_public_key
from rebuilder.errors import HostileInput, SignatureRefused
from rebuilder.model.job import Worker
from rebuilder.store.conclusions import EventKind
from rebuilder.store.workers import Workers
from workers.lease import signature
from workers.lease.bound import NOBODY
from workers.lease.desk import Desk
from workers.lease.messages import Enrol
from workers.lease.protocol import Forbidden
from workers.lease.signature import Message, RequestSignature

NAME_LIMIT = 64
TOKEN_LIMIT = 256
_SAFE = frozenset({"GET", "HEAD"})
"""A second answer to the same question tells an eavesdropper nothing that the first did not."""


class Door:
    """Lets workers in."""

    def __init__(self, desk: Desk, members: Workers) -> None:
        self._desk = desk
        self._members = members

    def admit(self, message: Message, given: RequestSignature) -> Worker:
        """Return the worker who signed this request, just now, once.

        1. The key is enrolled. 2. Time, digest and signature are right (`signature.verify`). 3. The key was not
        revoked. 4. The nonce is new, where a request changes anything. What is wrong is recorded, but for a clock that
        is off: that is no attack.
        """
        now = self._desk.now()
        signature.verify_time(given, now)
        worker = self._members.find(given.keyid)
        if worker is None:
            raise self._recorded_refusal(Forbidden(f"key {given.keyid[:16]} is not enrolled", hint=_ENROL), given)
        try:
            signature.verify(message, given, PublicKey(pem=worker.pem), now)
        except SignatureRefused as error:
            raise self._recorded_refusal(error, given) from error
        if worker.revoked_at is not None:
            refusal = Forbidden(f"worker {worker.name} was revoked at {worker.revoked_at:%Y-%m-%d %H:%M}", hint=_ENROL)
            raise self._recorded_refusal(refusal, given)
        if message.method not in _SAFE and not self._members.remember(
            given.keyid, given.nonce, now, until=now + 2 * signature.CLOCK_TOLERANCE
        ):
            repeated = SignatureRefused(
                f"worker {worker.name}: a request with nonce {given.nonce[:8]}… came before",
                hint="somebody sends again what he heard: use https:// in farm.coordinator",
            )
            raise self._recorded_refusal(repeated, given)
        self._members.seen(given.keyid, now)
        return worker

    def enrol(self, wanted: Enrol, message: Message, given: RequestSignature) -> Worker:
        """Enrol the key that a request brings and is signed with, by a token of the operator's."""
        now = self._desk.now()
        key = parse_public_key(wanted.pem.encode("utf-8"))
        if not isinstance(load_pem_public_key(key.pem.encode()), Ed25519PublicKey):
            raise HostileInput("a worker's key is an Ed25519 key, found another kind", hint=_OWN)
        if not 1 <= len(wanted.name) <= NAME_LIMIT or not wanted.name.isprintable():
            raise HostileInput(
                f"a worker's name is a line of 1 to {NAME_LIMIT} characters", hint="choose another --name"
            )
        if not 1 <= len(wanted.token) <= TOKEN_LIMIT or not wanted.token.isascii():
            raise HostileInput(f"an enrolment token has 1 to {TOKEN_LIMIT} plain characters", hint=_PRINTED)
        signature.verify(message, given, key, now)
        try:
            return self._members.enrol(wanted.token, key, wanted.name, now)
        except SignatureRefused as error:
            raise self._recorded_refusal(Forbidden(str(error), hint=error.hint), given) from error

    def _recorded_refusal(self, error: SignatureRefused, given: RequestSignature) -> SignatureRefused:
        """Record a refusal and return it."""
        self._desk.note(EventKind.WORKER_REFUSED, given.keyid[:16], str(error), sender=NOBODY)
        return error


_OWN = "`python -m workers enrol` makes one"
_PRINTED = "the file holds what `rebuilder workers token` printed, and nothing else"
_ENROL = "the operator enrols workers: `rebuilder workers token`, see docs/FARM.md"
