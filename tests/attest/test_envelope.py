"""DSSE envelopes against the specification's own example, against securesystemslib, and against liars."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import rfc8785
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from hypothesis import given
from hypothesis import strategies as st
from securesystemslib.dsse import Envelope as TheirEnvelope
from securesystemslib.signer import SSlibKey

from rebuilder.attest.envelope import IN_TOTO, REBUILD, Envelope, pae, parse, render, sign, verify
from rebuilder.errors import HostileInput, SignatureRefused, UntrustedError
from tests.attest.factory import ATTESTER, BUILDER, OWNER

PAYLOAD = b'{"a":1}'
SIGNED = sign(PAYLOAD, IN_TOTO, ATTESTER)
KEYS = (ATTESTER.public_key,)


def test_pae_is_the_specifications_example() -> None:
    """DSSE protocol.md, "Test vectors"."""
    expected = b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    assert pae("http://example.com/HelloWorld", b"hello world") == expected


def test_pae_counts_bytes_not_characters() -> None:
    """A type outside ASCII is measured in UTF-8."""
    assert pae("é", b"") == b"DSSEv1 2 \xc3\xa9 0 "


def test_what_we_sign_the_reference_implementation_verifies() -> None:
    """The DSSE code of securesystemslib itself accepts our envelope under our key."""
    key = SSlibKey.from_crypto(load_pem_public_key(KEYS[0].pem.encode()))
    theirs = TheirEnvelope.from_dict(json.loads(SIGNED))
    assert list(theirs.verify([key], 1)) == [key.keyid]
    assert theirs.payload == PAYLOAD


def test_payload_bytes_are_kept_as_received() -> None:
    """A payload that is not canonical JSON is signed, carried and returned unchanged."""
    odd = b'{ "a" : 1.0 }\n'
    envelope = parse(sign(odd, IN_TOTO, ATTESTER))
    assert verify(envelope, KEYS, payload_type=IN_TOTO) == (KEYS[0].keyid,)
    assert envelope.payload == odd


@given(st.binary(max_size=200))
def test_reading_what_was_written_is_exact(payload: bytes) -> None:
    """`parse` and `render` are inverse for any payload."""
    data = sign(payload, REBUILD, BUILDER)
    assert render(parse(data)) == data
    assert parse(data).payload == payload


def _changed(change: Callable[[dict[str, Any]], object]) -> bytes:
    plain = json.loads(SIGNED)
    change(plain)
    return rfc8785.dumps(plain)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not acceptable JSON"),
        (b"[]", "exactly payload"),
        (b'{"payload":"","payload":"","payloadType":"","signatures":[]}', "duplicate key"),
        (_changed(lambda p: p.update(extra=1)), "exactly payload"),
        (_changed(lambda p: p.pop("signatures")), "exactly payload"),
        (_changed(lambda p: p.update(payloadType="text/plain")), "unknown payload type"),
        (_changed(lambda p: p.update(payloadType=["x"])), "unknown payload type"),
        (_changed(lambda p: p.update(signatures=[])), "1 to 64 signatures"),
        (_changed(lambda p: p.update(signatures=p["signatures"] * 65)), "1 to 64 signatures"),
        (_changed(lambda p: p.update(signatures={})), "1 to 64 signatures"),
        (_changed(lambda p: p["signatures"][0].pop("keyid")), "exactly keyid"),
        (_changed(lambda p: p["signatures"][0].update(keyid="")), "1 to 128"),
        (_changed(lambda p: p["signatures"][0].update(keyid=7)), "1 to 128"),
        (_changed(lambda p: p["signatures"][0].update(sig="*")), "not standard base64"),
        (_changed(lambda p: p.update(payload=p["payload"].rstrip("="))), "not standard base64"),
        (_changed(lambda p: p.update(payload="eyJ\nhIjoxfQ==")), "not standard base64"),
        (_changed(lambda p: p.update(payload="eyJhIjoxfR==")), "canonical form"),
        (_changed(lambda p: p.update(payload=1)), "base64 text"),
        (_changed(lambda p: p.update(payload="é")), "not standard base64"),
        (SIGNED + b"\n", "canonical form"),
        (json.dumps(json.loads(SIGNED)).encode(), "canonical form"),
        (b"[" * 100_000, "not acceptable JSON"),
    ],
)
def test_attack_malformed_envelope(data: bytes, message: str) -> None:
    """What is not exactly one canonical envelope is refused before any signature is looked at."""
    with pytest.raises(HostileInput, match=message):
        parse(data)


def test_no_keys_verify_nothing() -> None:
    """An empty set of keys is a refusal, never a success."""
    with pytest.raises(SignatureRefused, match="at least one key"):
        verify(parse(SIGNED), (), payload_type=IN_TOTO)


@pytest.mark.parametrize("threshold", [0, -1])
def test_a_threshold_below_one_is_refused(threshold: int) -> None:
    """A threshold that nobody has to meet is a refusal."""
    with pytest.raises(SignatureRefused, match="threshold of at least 1"):
        verify(parse(SIGNED), KEYS, payload_type=IN_TOTO, threshold=threshold)


def test_attack_one_signer_counted_twice() -> None:
    """One key that signs twice, or is given twice, counts once."""
    envelope = parse(SIGNED)
    twice = Envelope(payload_type=IN_TOTO, payload=PAYLOAD, signatures=envelope.signatures * 2)
    with pytest.raises(SignatureRefused, match="signed by 1 of the keys that were given, 2 needed"):
        verify(twice, KEYS * 2, payload_type=IN_TOTO, threshold=2)


def test_two_signers_meet_a_threshold_of_two() -> None:
    """Distinct keys count each."""
    signatures = tuple((s.public_key.keyid, s.sign(pae(IN_TOTO, PAYLOAD))) for s in (ATTESTER, OWNER))
    envelope = Envelope(payload_type=IN_TOTO, payload=PAYLOAD, signatures=signatures)
    keys = (ATTESTER.public_key, OWNER.public_key)
    assert set(verify(envelope, keys, payload_type=IN_TOTO, threshold=2)) == {key.keyid for key in keys}


def test_attack_signature_by_a_stranger() -> None:
    """An envelope by a key that the reader did not give is refused, and the message says whose it claims to be."""
    with pytest.raises(SignatureRefused, match="signed by 0 of the keys"):
        verify(parse(sign(PAYLOAD, IN_TOTO, OWNER)), KEYS, payload_type=IN_TOTO)


def test_attack_stranger_claims_our_key_id() -> None:
    """A foreign signature under our key id is refused: ids only select."""
    forged = Envelope(
        payload_type=IN_TOTO,
        payload=PAYLOAD,
        signatures=((KEYS[0].keyid, OWNER.sign(pae(IN_TOTO, PAYLOAD))),),
    )
    with pytest.raises(SignatureRefused, match="not one that key"):
        verify(forged, KEYS, payload_type=IN_TOTO)


def test_attack_type_confusion() -> None:
    """A builder's record cannot be passed off as a statement: the type is signed, and it is asked for."""
    record = parse(sign(PAYLOAD, REBUILD, ATTESTER))
    with pytest.raises(SignatureRefused, match="payload type: expected"):
        verify(record, KEYS, payload_type=IN_TOTO)
    relabelled = Envelope(payload_type=IN_TOTO, payload=record.payload, signatures=record.signatures)
    with pytest.raises(SignatureRefused, match="not one that key"):
        verify(relabelled, KEYS, payload_type=IN_TOTO)


def test_attack_changed_payload() -> None:
    """One changed byte of the payload is refused."""
    data = _changed(lambda p: p.update(payload="eyJhIjoyfQ=="))
    with pytest.raises(UntrustedError, match="not one that key"):
        verify(parse(data), KEYS, payload_type=IN_TOTO)
