"""Signed requests: what other implementations of RFC 9421 sign is the same, and nothing else is accepted."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from rebuilder.attest.signing import KeySigner
from rebuilder.errors import SignatureRefused
from rebuilder.model.digest import Digest
from tests.workers.lease.conftest import new_signer
from workers.lease import signature
from workers.lease.signature import Message

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
LIBRARY = json.loads(Path(__file__).with_name("assets").joinpath("rfc9421.json").read_text())
MESSAGE = Message(method="POST", path="/v1/claim", query="", body=Digest.of(b"{}"))
NONCE = "0" * 32


@pytest.mark.parametrize("request_", LIBRARY, ids=lambda each: each["path"][:16])
def test_another_implementation_signs_the_same_bytes(request_: dict[str, Any]) -> None:
    """The fields are, byte for byte, what an independent library makes of the same request and key."""
    signer = KeySigner(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
    path, _, query = request_["path"].partition("?")
    message = Message(method=request_["method"], path=path, query=query, body=Digest.of(request_["body"].encode()))
    expected = {name: request_[name] for name in ("signature-input", "signature", "content-digest")}
    assert signature.sign(message, signer, created=NOON, nonce=request_["nonce"]) == expected
    signature.verify(message, signature.parse(expected), signer.public_key, NOON)


@pytest.mark.parametrize(
    "other",
    [
        Message(method="PUT", path="/v1/claim", query="", body=Digest.of(b"{}")),
        Message(method="POST", path="/v1/report", query="", body=Digest.of(b"{}")),
        Message(method="POST", path="/v1/claim", query="a=b", body=Digest.of(b"{}")),
        Message(method="POST", path="/v1/claim", query="", body=Digest.of(b"{} ")),
    ],
    ids=["method", "path", "query", "body"],
)
def test_attack_altered_request(other: Message) -> None:
    """A signature over one request is none over another."""
    signer = new_signer()
    given = signature.parse(signature.sign(MESSAGE, signer, created=NOON, nonce=NONCE))
    with pytest.raises(SignatureRefused):
        signature.verify(other, given, signer.public_key, NOON)


def test_attack_body_and_digest_altered_together() -> None:
    """Whoever changes the digest to fit another body has changed what was signed."""
    signer = new_signer()
    fields = signature.sign(MESSAGE, signer, created=NOON, nonce=NONCE)
    other = Message(method="POST", path="/v1/claim", query="", body=Digest.of(b"[]"))
    fields["content-digest"] = signature.sign(other, signer, created=NOON, nonce=NONCE)["content-digest"]
    with pytest.raises(SignatureRefused, match="not one that key"):
        signature.verify(other, signature.parse(fields), signer.public_key, NOON)


def test_attack_other_key() -> None:
    """Another key's signature does not count, under its own id or a borrowed one."""
    signer, other = new_signer(), new_signer()
    fields = signature.sign(MESSAGE, other, created=NOON, nonce=NONCE)
    with pytest.raises(SignatureRefused, match="signed by key"):
        signature.verify(MESSAGE, signature.parse(fields), signer.public_key, NOON)
    borrowed = fields["signature-input"].replace(other.public_key.keyid, signer.public_key.keyid)
    fields["signature-input"] = borrowed
    with pytest.raises(SignatureRefused, match="not one that key"):
        signature.verify(MESSAGE, signature.parse(fields), signer.public_key, NOON)


@pytest.mark.parametrize("minutes", [-60, -6, 6, 60])
def test_attack_old_or_early_signature(minutes: int) -> None:
    """A signature counts for five minutes around the coordinator's time, no longer."""
    signer = new_signer()
    fields = signature.sign(MESSAGE, signer, created=NOON + timedelta(minutes=minutes), nonce=NONCE)
    with pytest.raises(SignatureRefused, match="expected within 0:05:00"):
        signature.verify(MESSAGE, signature.parse(fields), signer.public_key, NOON)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"@query" ', ""),
        ('"@method" "@path"', '"@path" "@method"'),
        ('"content-digest")', '"content-digest" "@method")'),
        ("lease=(", "other=("),
        (';alg="ed25519"', ""),
        ("ed25519", "hmac-sha256"),
        (';nonce="', ';nonce="x'),
        (';tag="rebuilder-lease"', ""),
        ("created=", "created=-"),
        ("created=", "created=99999999999999"),
        ('lease"', 'lease";expires=1'),
        ("lease=(", "lease=(),lease=("),
        ("lease=(", "lease= ("),
    ],
)
def test_attack_another_spelling(old: str, new: str) -> None:
    """What a general parser might take, with fewer, more or other parts, is refused before any key is looked up."""
    fields = signature.sign(MESSAGE, new_signer(), created=NOON, nonce=NONCE)
    assert old in fields["signature-input"]
    fields["signature-input"] = fields["signature-input"].replace(old, new, 1)
    with pytest.raises(SignatureRefused, match="signature-input is not the one"):
        signature.parse(fields)


@pytest.mark.parametrize("field", ["signature", "content-digest"])
@pytest.mark.parametrize("value", ["", "lease=:AAAA", "lease=:A:", "sha-256=:AAAA:", "sha-512=:AAAA:", "lease=:====:"])
def test_attack_malformed_bytes(field: str, value: str) -> None:
    """A digest or signature that is none is refused."""
    fields = signature.sign(MESSAGE, new_signer(), created=NOON, nonce=NONCE)
    with pytest.raises(SignatureRefused):
        signature.parse({**fields, field: value})


def test_attack_unsigned() -> None:
    """What lacks is named."""
    with pytest.raises(SignatureRefused, match="found one without signature-input, signature, content-digest"):
        signature.parse({})
