"""A builder's record: one rebuild, signed by the builder's own key in a DSSE envelope."""

from __future__ import annotations

from collections.abc import Sequence

from rebuilder.attest import envelope
from rebuilder.attest.keys import PublicKey
from rebuilder.attest.signing import Signer
from rebuilder.errors import SignatureRefused
from rebuilder.model.codec import parse, render
from rebuilder.model.rebuild import Rebuild


def sign_rebuild(rebuild: Rebuild, signer: Signer) -> bytes:
    """Sign what a run gave; raise SignatureRefused if the record names another builder than the signer."""
    if rebuild.builder != signer.public_key.keyid:
        raise SignatureRefused(
            f"the record names builder {rebuild.builder[:16]}, the key is {signer.public_key.keyid[:16]}"
        )
    return envelope.sign(render(rebuild), envelope.REBUILD, signer)


def verify_rebuild(data: bytes, builders: Sequence[PublicKey]) -> Rebuild:
    """Return the rebuild that a record carries.

    1. The envelope is signed by one of `builders`.
    2. The payload, read only now, is one Rebuild in canonical form.
    3. It names the builder that signed it.
    """
    parsed = envelope.parse(data)
    signers = envelope.verify(parsed, builders, payload_type=envelope.REBUILD)
    rebuild = parse(parsed.payload, Rebuild)
    if rebuild.builder not in signers or render(rebuild) != parsed.payload:
        raise SignatureRefused(f"the record names builder {rebuild.builder[:16]}, signed by {signers[0][:16]}")
    return rebuild
