"""DSSE envelopes, version 1: https://github.com/secure-systems-lab/dsse (protocol.md, envelope.md).

The payload's bytes are kept as received: they are verified, and only then read. Envelopes are written canonically
(RFC 8785, standard base64), and only that form is read: one set of signatures over one payload has one spelling.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rebuilder.attest.canonical import canonical
from rebuilder.attest.keys import PublicKey
from rebuilder.attest.signing import Signer
from rebuilder.errors import HostileInput, SignatureRefused
from rebuilder.model.codec import parse_json

IN_TOTO = "application/vnd.in-toto+json"
"""Payload type of statements and of links."""
REBUILD = "application/vnd.rebuilder.rebuild+json"
"""Payload type of a builder's record."""
COMPARISON = "application/vnd.rebuilder.comparison+json"
"""Payload type of a comparer's record, on a farm."""
WAKE = "application/vnd.rebuilder.wake+json"
"""Payload type of what a coordinator wakes workers with."""

_KNOWN_TYPES = (IN_TOTO, REBUILD, COMPARISON, WAKE)
_SIGNATURES_LIMIT = 64
ENVELOPE_LIMIT_BYTES = 48 * 1024**2


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """A payload, what it is, and who signed it; nothing in it is trusted before `verify`."""

    payload_type: str
    payload: bytes
    signatures: tuple[tuple[str, bytes], ...]
    """(key id as the envelope claims it, signature)"""


def pae(payload_type: str, payload: bytes) -> bytes:
    """Pre-authentication encoding: the bytes that are signed (DSSE protocol, "Signature Definition")."""
    kind = payload_type.encode("utf-8")
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def sign(payload: bytes, payload_type: str, signer: Signer) -> bytes:
    """Sign a payload and render the envelope."""
    signature = signer.sign(pae(payload_type, payload))
    keyid = signer.public_key.keyid
    return render(Envelope(payload_type=payload_type, payload=payload, signatures=((keyid, signature),)))


def render(envelope: Envelope) -> bytes:
    """Canonical JSON of an envelope; the payload's base64 needs no escaping, and is long."""
    signatures = [
        {"keyid": keyid, "sig": base64.b64encode(signature).decode("ascii")} for keyid, signature in envelope.signatures
    ]
    rest = canonical({"payloadType": envelope.payload_type, "signatures": signatures})
    return b'{"payload":"' + base64.b64encode(envelope.payload) + b'",' + rest.removeprefix(b"{")


def parse(data: bytes) -> Envelope:
    """Read an envelope; raise HostileInput for anything that `render` would not have written."""
    if len(data) > ENVELOPE_LIMIT_BYTES:
        raise HostileInput(f"envelope of {len(data)} bytes; at most {ENVELOPE_LIMIT_BYTES} are read")
    plain = _object(parse_json(data), {"payload", "payloadType", "signatures"}, "envelope")
    if plain["payloadType"] not in _KNOWN_TYPES:
        raise HostileInput(f"unknown payload type {str(plain['payloadType'])[:80]!r} in an envelope")
    entries = plain["signatures"]
    if not isinstance(entries, list) or not 1 <= len(entries) <= _SIGNATURES_LIMIT:
        raise HostileInput(f"an envelope has 1 to {_SIGNATURES_LIMIT} signatures")
    signatures = tuple(_signature(entry) for entry in entries)
    payload = _base64(plain["payload"], "payload")
    envelope = Envelope(payload_type=plain["payloadType"], payload=payload, signatures=signatures)
    if render(envelope) != data:
        raise HostileInput("an envelope is not in canonical form (RFC 8785, standard base64)")
    return envelope


def verify(envelope: Envelope, keys: Sequence[PublicKey], *, payload_type: str, threshold: int = 1) -> tuple[str, ...]:
    """Return the ids of the keys that signed; raise SignatureRefused if they are fewer than `threshold`.

    1. Refuse an empty set of keys, a threshold below 1, and another payload type than the caller expects.
    2. Count each given key once, however often it is given or signed; key ids in the envelope only select.
    3. A signature that claims a given key and is not made by it refuses the whole envelope.
    """
    if not keys or threshold < 1:
        raise SignatureRefused("at least one key and a threshold of at least 1 are needed to verify an envelope")
    if envelope.payload_type != payload_type:
        raise SignatureRefused(f"payload type: expected {payload_type}, found {envelope.payload_type}")
    given = {key.keyid: key for key in keys}
    signed_bytes = pae(envelope.payload_type, envelope.payload)
    accepted = dict.fromkeys(keyid for keyid, _ in envelope.signatures if keyid in given)
    for keyid, signature in envelope.signatures:
        if keyid in given:
            given[keyid].verify(signature, signed_bytes)
    if len(accepted) < threshold:
        claimed = ", ".join(keyid[:16] for keyid, _ in envelope.signatures[:4])
        raise SignatureRefused(
            f"signed by {len(accepted)} of the keys that were given, {threshold} needed; the envelope names {claimed}",
            hint="give the rebuilder's public key, from a source that you trust",
        )
    return tuple(accepted)


def _signature(entry: object) -> tuple[str, bytes]:
    plain = _object(entry, {"keyid", "sig"}, "signature")
    if not isinstance(plain["keyid"], str) or not 1 <= len(plain["keyid"]) <= 128:
        raise HostileInput("a signature's key id is a text of 1 to 128 characters")
    return plain["keyid"], _base64(plain["sig"], "signature")


def _object(value: object, keys: set[str], name: str) -> dict[str, Any]:
    if not isinstance(value, dict) or set(value) != keys:
        raise HostileInput(f"{name}: an object with exactly {', '.join(sorted(keys))} is expected")
    return value


def _base64(value: object, name: str) -> bytes:
    try:
        if not isinstance(value, str):
            raise HostileInput(f"{name}: base64 text is expected")
        return base64.b64decode(value.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise HostileInput(f"{name}: not standard base64 (RFC 4648, section 4)") from error
