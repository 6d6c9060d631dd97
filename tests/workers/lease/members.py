"""Who is enrolled, in memory."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from datetime import datetime

from rebuilder.attest.keys import PublicKey
from rebuilder.errors import SignatureRefused
from rebuilder.model.job import JobKind, ResourceClass, Worker


@dataclass
class MemoryMembers:
    """See `workers.lease.members.Members`."""

    workers: dict[str, Worker] = field(default_factory=dict)
    tokens: dict[str, tuple[JobKind, ...]] = field(default_factory=dict)
    used: dict[str, str] = field(default_factory=dict)
    nonces: set[tuple[str, str]] = field(default_factory=set)

    def find(self, keyid: str) -> Worker | None:
        """See Members.find."""
        return self.workers.get(keyid)

    def enrol(self, token: str, key: PublicKey, name: str, at: datetime) -> Worker:
        """See Members.enrol."""
        if token not in self.tokens or self.used.setdefault(token, key.keyid) != key.keyid:
            raise SignatureRefused("the enrolment token is unknown or was used", hint="ask for another one")
        self.workers[key.keyid] = Worker(
            keyid=key.keyid,
            pem=key.pem,
            name=name,
            roles=self.tokens[token],
            tags=("amd64",),
            resources=(ResourceClass.SMALL,),
            fault_domain="rack-1",
            enrolled_at=at,
        )
        return self.workers[key.keyid]

    def seen(self, keyid: str, at: datetime) -> None:
        """See Members.seen."""
        self.workers[keyid] = dataclasses.replace(self.workers[keyid], seen_at=at)

    def remember(self, keyid: str, nonce: str, at: datetime, *, until: datetime) -> bool:
        """See Members.remember."""
        is_new = (keyid, nonce) not in self.nonces
        self.nonces.add((keyid, nonce))
        return is_new

    def revoke(self, keyid: str, at: datetime) -> None:
        """Let a worker in no more."""
        self.workers[keyid] = dataclasses.replace(self.workers[keyid], revoked_at=at)
