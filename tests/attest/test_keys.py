"""Public keys: their ids, their text forms, and what is refused."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_public_key,
)
from securesystemslib.signer import CryptoSigner, SSlibKey

from rebuilder.attest.keys import PublicKey, parse_public_key
from rebuilder.errors import HostileInput, SignatureRefused
from tests.attest.factory import ATTESTER, BUILDER

KEY = ATTESTER.public_key
NULL_PARAMETER = b"""-----BEGIN PUBLIC KEY-----
MCwwBwYDK2VwBQADIQCEB9407VaHnm6t1YX1yVv/MmvAC4TC1S0hOUcD0hTnYg==
-----END PUBLIC KEY-----
"""
"""An Ed25519 key with an ASN.1 NULL among its parameters, which RFC 8410 forbids and a living peer publishes."""


def test_key_id_is_the_one_that_current_clients_compute() -> None:
    """securesystemslib, given the PEM that we export, names the key as we do."""
    assert SSlibKey.from_crypto(load_pem_public_key(KEY.pem.encode())).keyid == KEY.keyid
    assert KEY.to_plain()["keyid"] == KEY.keyid


def test_legacy_key_id_differs() -> None:
    """Clients before securesystemslib 1.0 hash two more words; securesystemslib 0.26 computed this value."""
    assert KEY.legacy_keyid == "e9e679167c49e219650fe32330f13f8c3c1d3bf94b5056f2954e67b612afd0af"
    assert KEY.legacy_keyid != KEY.keyid


def test_public_key_is_written_as_rfc_8410_says() -> None:
    """SubjectPublicKeyInfo of Ed25519 has no parameters: 12 fixed bytes, then the 32 of the key."""
    der = load_pem_public_key(KEY.pem.encode()).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert der.hex().startswith("302a300506032b6570032100")
    assert len(der) == 44


def test_parsing_what_was_written_gives_the_same_key() -> None:
    """Reading and writing a public key is exact."""
    assert parse_public_key(KEY.pem.encode()) == KEY


def test_a_p256_key_verifies() -> None:
    """Hardware that has no Ed25519 can have ECDSA on P-256."""
    signer = CryptoSigner(ec.generate_private_key(ec.SECP256R1()))
    pem = signer.public_key.keyval["public"].encode()
    parse_public_key(pem).verify(bytes.fromhex(signer.sign(b"data").signature), b"data")


def _pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, *, private: bool = False) -> bytes:
    if private:
        return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "one PEM block"),
        (b"x" * 20_000, "at most"),
        (KEY.pem.encode() * 2, "one PEM block"),
        (_pem(ec.generate_private_key(ec.SECP256R1()), private=True), "one PEM block"),
        (_pem(rsa.generate_private_key(65537, 2048)), "is not accepted"),
        (_pem(ec.generate_private_key(ec.SECP384R1())), "is not accepted"),
        (b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "SubjectPublicKeyInfo"),
        (NULL_PARAMETER, "SubjectPublicKeyInfo"),
    ],
    ids=["empty", "huge", "two", "private", "rsa", "p384", "garbage", "null-parameter"],
)
def test_what_is_not_one_acceptable_public_key_is_refused(data: bytes, message: str) -> None:
    """Only one public key, of two kinds, in the standard form is read."""
    with pytest.raises(HostileInput, match=message):
        parse_public_key(data)


def test_a_key_of_another_spelling_is_no_value() -> None:
    """A PublicKey has one spelling, so that equal keys are equal values."""
    with pytest.raises(ValueError, match="canonical"):
        PublicKey(pem=KEY.pem + "\n")


@pytest.mark.parametrize("signature", [b"", b"x" * 64, BUILDER.sign(b"data"), ATTESTER.sign(b"other")])
def test_a_wrong_signature_is_refused(signature: bytes) -> None:
    """Empty, random, by another key, over other bytes: each is refused."""
    with pytest.raises(SignatureRefused, match="not one that key"):
        KEY.verify(signature, b"data")
