"""Public keys: one value, its standard text forms, and verification of one signature.

The key id is the one that securesystemslib (1.0 and newer, so in-toto 3) computes for itself: SHA-256 over the OLPC
canonical JSON of `{keytype, scheme, keyval}`. Clients as old as in-toto 1.3.1 hash `keyid_hash_algorithms` too; they
are content as long as layout, signature and file name agree, except for the key that signs a layout: `legacy_keyid` is
for that.
Public keys are written as SubjectPublicKeyInfo in PEM; for Ed25519 that is RFC 8410, section 4 (no parameters).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key
from securesystemslib.exceptions import UnverifiedSignatureError, VerificationError
from securesystemslib.formats import encode_canonical
from securesystemslib.signer import Signature, SSlibKey

from rebuilder.errors import HostileInput, SignatureRefused

KEY_LIMIT_BYTES = 16 * 1024


class Role(StrEnum):
    """What a key may sign. One key never has two roles."""

    ATTESTATION = "attestation"
    """Statements and links."""
    BUILDER = "builder"
    """Records of rebuilds."""
    COMPARER = "comparer"
    """Reports of comparisons, on a farm."""
    OWNER = "owner"
    """Layouts: which rebuilders a reader trusts, and how many must agree."""
    COORDINATOR = "coordinator"
    """Wake-ups of workers, on a farm. It attests nothing."""
    WORKER = "worker"
    """Requests of the farm's workers that sign no record of their own: planner, signer, publisher."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicKey:
    """A key that can verify: Ed25519, or ECDSA on P-256 for hardware that has nothing else."""

    pem: str
    """SubjectPublicKeyInfo, exactly as this module writes it."""

    def __post_init__(self) -> None:
        if parse_public_key(self.pem.encode()).pem != self.pem:
            raise ValueError("not the canonical PEM of a public key")

    @classmethod
    def of(cls, key: Ed25519PublicKey | EllipticCurvePublicKey) -> Self:
        """Wrap a key of the cryptography library."""
        pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode("ascii")
        made = object.__new__(cls)
        object.__setattr__(made, "pem", pem)
        return made

    @property
    def keyid(self) -> str:
        """Key id as securesystemslib 1.x and in-toto 3 compute it."""
        return self._key().keyid

    @property
    def legacy_keyid(self) -> str:
        """Key id as securesystemslib before 1.0 computes it from a key file."""
        return hashlib.sha256(str(encode_canonical(self.to_legacy_plain())).encode()).hexdigest()

    def to_plain(self) -> dict[str, Any]:
        """Give the key as in-toto's layouts and `securesystemslib` write it, with its id."""
        return {**self._key().to_dict(), "keyid": self.keyid}

    def to_legacy_plain(self) -> dict[str, Any]:
        """Give the key as clients before securesystemslib 1.0 read it from a key file, which holds no id."""
        return {**self._key().to_dict(), "keyid_hash_algorithms": ["sha256", "sha512"]}

    def verify(self, signature: bytes, data: bytes) -> None:
        """Raise SignatureRefused unless this key made `signature` over exactly `data`."""
        key = self._key()
        try:
            key.verify_signature(Signature(key.keyid, signature.hex()), data)
        except (UnverifiedSignatureError, VerificationError) as error:
            raise SignatureRefused(
                f"the signature is not one that key {key.keyid[:16]} made over these bytes"
            ) from error

    def _key(self) -> SSlibKey:
        return SSlibKey.from_crypto(load_pem_public_key(self.pem.encode("ascii")))


def parse_public_key(data: bytes) -> PublicKey:
    """Read a public key in PEM; raise HostileInput for anything but one Ed25519 or P-256 key."""
    if len(data) > KEY_LIMIT_BYTES:
        raise HostileInput(f"public key of {len(data)} bytes; at most {KEY_LIMIT_BYTES} are read")
    if data.count(b"-----BEGIN") != 1 or b"-----BEGIN PUBLIC KEY-----" not in data:
        raise HostileInput(
            "not a public key: one PEM block `PUBLIC KEY` is expected", hint="`rebuilder keys export` writes one"
        )
    try:
        key = load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise HostileInput("not a public key in SubjectPublicKeyInfo form (RFC 5280, RFC 8410)") from error
    if isinstance(key, Ed25519PublicKey) or (
        isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1)
    ):
        return PublicKey.of(key)
    raise HostileInput(f"a key of type {type(key).__name__} is not accepted; Ed25519 or ECDSA on P-256 is expected")
