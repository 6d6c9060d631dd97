"""What can sign, found by the scheme of its address: `file:` today; a scheme is added by one function and one line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from securesystemslib.signer import CryptoSigner

from rebuilder.attest.keys import PublicKey
from rebuilder.attest.keystore import Passphrase, load_private_key
from rebuilder.errors import ConfigurationError


class Signer(Protocol):
    """Holds a private key, or the way to one, and signs with it."""

    @property
    def public_key(self) -> PublicKey:
        """The key that verifies what this signs."""

    def sign(self, payload: bytes) -> bytes:
        """Sign bytes; the caller has already encoded what they mean (DSSE's PAE, canonical JSON)."""


class KeySigner:
    """Signs with a private key in this process's memory."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._signer = CryptoSigner(key)
        self._public_key = PublicKey.of(key.public_key())

    @property
    def public_key(self) -> PublicKey:
        """See Signer.public_key."""
        return self._public_key

    def sign(self, payload: bytes) -> bytes:
        """See Signer.sign."""
        return bytes.fromhex(self._signer.sign(payload).signature)


def open_signer(uri: str, *, passphrase: Passphrase | None = None) -> Signer:
    """Open the signer at an address such as `file:/…/attestation.pem`; ConfigurationError for an unknown scheme."""
    scheme, separator, rest = uri.partition(":")
    opener = _OPENERS.get(scheme)
    if not separator or opener is None:
        raise ConfigurationError(
            f"no signer for the address {uri[:80]!r}; known schemes: {', '.join(sorted(_OPENERS))}",
            hint="a key file is `file:` and its absolute path",
        )
    return opener(rest, passphrase)


def _open_file(rest: str, passphrase: Passphrase | None) -> Signer:
    return KeySigner(load_private_key(Path(rest), passphrase=passphrase))


_OPENERS: Mapping[str, Callable[[str, Passphrase | None], Signer]] = {"file": _open_file}
