"""Who is enrolled, as the ledger keeps it."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from rebuilder.attest.keys import PublicKey
from rebuilder.model.job import Worker


class Members(Protocol):
    """The ledger's workers, enrolment tokens and nonces."""

    def find(self, keyid: str) -> Worker | None:
        """Return a worker, also a revoked one."""

    def enrol(self, token: str, key: PublicKey, name: str, at: datetime) -> Worker:
        """Use up a token for a key; SignatureRefused when it is unknown or expired, or was used for another key."""

    def seen(self, keyid: str, at: datetime) -> None:
        """Note that a worker was heard of."""

    def remember(self, keyid: str, nonce: str, at: datetime, *, until: datetime) -> bool:
        """Keep a nonce until then; return whether it is new."""
