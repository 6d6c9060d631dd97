"""One checked claim about an artifact, and what was not checked."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from rebuilder.model.digest import Digest


class Standing(StrEnum):
    """How a check of a claim ended."""

    VERIFIED = "verified"
    REFUSED = "refused"
    ABSENT = "absent"
    NOT_CHECKED = "not-checked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What one verification module found out about one subject."""

    scheme: str
    """Which verifier spoke: `openpgp-inrelease`, `apt-index`, `openpgp-dsc`, `openpgp-buildinfo`, …"""
    subject: str
    """Name of the thing the claim is about: a file name, never a path of this machine."""
    subject_digest: Digest | None
    """Digest of the subject's bytes; None where the subject is absent."""
    outcome: Standing
    reason: str
    """One sentence for a reader: why the outcome is what it is."""
    signer: str | None = None
    """Full fingerprint, identity or key id of the signer, as the scheme names it."""
    issuer: str | None = None
    """Who vouches for the signer: a keyring's or root's name and digest."""
    signed_at: datetime | None = None
    document: Digest | None = None
    """Digest of the document in which the claim was found, kept as a blob where policy allows."""
    not_checked: tuple[str, ...] = ()
    """What a reader might assume was checked and was not: freshness, revocation, …"""
