"""Keys that the stages use: the builder's own. The attestation key is the signing process's alone."""

from __future__ import annotations

from rebuilder.attest.keys import PublicKey, Role
from rebuilder.attest.keystore import enroll, enrolled, ensure_key
from rebuilder.stages.world import World


def builder_key(world: World) -> PublicKey:
    """Return the key of this machine's builder: made on first use, and enrolled with this machine's signer."""
    state = world.settings.state
    key = ensure_key(state, Role.BUILDER)
    if key.keyid not in {known.keyid for known in enrolled(state, Role.BUILDER)}:
        enroll(state, Role.BUILDER, key)
    return key
