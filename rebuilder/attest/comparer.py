"""A comparer's record: what one comparison found, signed by the comparer's own key in a DSSE envelope.

The record names everything that was compared by digest, so that a comparison is never taken for one of something else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rebuilder.attest import envelope
from rebuilder.attest.keys import PublicKey
from rebuilder.attest.signing import Signer
from rebuilder.errors import SignatureRefused
from rebuilder.model.codec import parse, render
from rebuilder.model.comparison import Comparison
from rebuilder.model.digest import Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """What a comparer found, and in what."""

    release: Digest
    """Of the canonical part."""
    rebuild: Digest
    """Of the canonical record of the rebuild."""
    control: Digest | None
    others: tuple[Digest, ...] = ()
    """Of the canonical records of the other builders' rebuilds."""
    comparison: Comparison


def sign_comparison(compared: Compared, signer: Signer) -> bytes:
    """Sign what a comparison found."""
    return envelope.sign(render(compared), envelope.COMPARISON, signer)


def verify_comparison(data: bytes, comparers: Sequence[PublicKey]) -> Compared:
    """Return what a record carries.

    1. The envelope is signed by one of `comparers`. 2. The payload, read only now, is in canonical form.
    """
    parsed = envelope.parse(data)
    envelope.verify(parsed, comparers, payload_type=envelope.COMPARISON)
    compared = parse(parsed.payload, Compared)
    if render(compared) != parsed.payload:
        raise SignatureRefused("a comparer's record is not in canonical form")
    return compared
