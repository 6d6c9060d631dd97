"""Signatures over HTTP requests: one profile of RFC 9421, https://www.rfc-editor.org/rfc/rfc9421.

Covered are the method, the path, the query and the body's digest (RFC 9530); the parameters say when, once, by which
key and what for. What a general library may accept is refused here: other components, other parameters, another order,
several signatures. A request has one spelling, so there is nothing to choose for who would forge one.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from rebuilder.attest.keys import PublicKey
from rebuilder.attest.signing import Signer
from rebuilder.errors import SignatureRefused
from rebuilder.model.digest import Digest

INPUT, SIGNATURE, CONTENT_DIGEST = "signature-input", "signature", "content-digest"
"""The header fields that a signed request has, each once."""
CLOCK_TOLERANCE = timedelta(minutes=5)
"""How far a signature's time may be from the coordinator's clock; a nonce is remembered for twice as long."""

_COMPONENTS = '("@method" "@path" "@query" "content-digest")'
_PARAMETERS = re.compile(
    re.escape(_COMPONENTS)
    + r';created=(?P<created>[1-9][0-9]{8,10});keyid="(?P<keyid>[0-9a-f]{64})";alg="ed25519"'
    + r';nonce="(?P<nonce>[0-9a-f]{32})";tag="rebuilder-lease"'
)
_BYTES = re.compile(r"(?P<label>lease|sha-256)=:(?P<data>[A-Za-z0-9+/]{1,128}={0,2}):")


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What of a request is signed."""

    method: str
    path: str
    """As it is sent, percent-encoded."""
    query: str
    """Without the question mark."""
    body: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestSignature:
    """What a request says of itself; nothing of it is trusted before `verify`."""

    keyid: str
    created: datetime
    nonce: str
    body: Digest
    parameters: str
    signature: bytes


def sign(message: Message, signer: Signer, *, created: datetime, nonce: str) -> dict[str, str]:
    """Return the header fields that make a request a signed one."""
    parameters = (
        f'{_COMPONENTS};created={int(created.timestamp())};keyid="{signer.public_key.keyid}";alg="ed25519"'
        f';nonce="{nonce}";tag="rebuilder-lease"'
    )
    signature = signer.sign(_base(message, parameters))
    return {
        CONTENT_DIGEST: _content_digest(message.body),
        INPUT: f"lease={parameters}",
        SIGNATURE: f"lease=:{base64.b64encode(signature).decode('ascii')}:",
    }


def parse(headers: Mapping[str, str]) -> RequestSignature:
    """Read the header fields of `sign`; raise SignatureRefused for anything that it would not have written."""
    missing = [name for name in (INPUT, SIGNATURE, CONTENT_DIGEST) if name not in headers]
    if missing:
        raise SignatureRefused(f"expected a signed request, found one without {', '.join(missing)}", hint=_HOW)
    label, _, parameters = headers[INPUT].partition("=")
    found = _PARAMETERS.fullmatch(parameters)
    if label != "lease" or found is None:
        raise SignatureRefused("signature-input is not the one that a worker's request has", hint=_HOW)
    digest = _read_bytes(headers[CONTENT_DIGEST], "sha-256", CONTENT_DIGEST)
    if len(digest) != 32:
        raise SignatureRefused(f"{CONTENT_DIGEST}: expected 32 bytes, found {len(digest)}", hint=_HOW)
    return RequestSignature(
        keyid=found["keyid"],
        created=datetime.fromtimestamp(int(found["created"]), UTC),
        nonce=found["nonce"],
        body=Digest(digest.hex()),
        parameters=parameters,
        signature=_read_bytes(headers[SIGNATURE], "lease", SIGNATURE),
    )


def verify(message: Message, signature: RequestSignature, key: PublicKey, now: datetime) -> None:
    """Raise SignatureRefused unless `key` signed exactly this request, about now.

    1. The time: within CLOCK_TOLERANCE of `now`. 2. The digest that was signed is the body's. 3. The signature.
    That the nonce is new is for the caller to see to: only he remembers.
    """
    verify_time(signature, now)
    if signature.body != message.body:
        raise SignatureRefused(f"body: expected {signature.body} as it was signed, found {message.body}", hint=_HOW)
    if signature.keyid != key.keyid:
        raise SignatureRefused(f"signed by key {signature.keyid[:16]}, expected {key.keyid[:16]}", hint=_HOW)
    key.verify(signature.signature, _base(message, signature.parameters))


def verify_time(signature: RequestSignature, now: datetime) -> None:
    """Raise SignatureRefused unless a signature was made about now."""
    if abs(signature.created - now) > CLOCK_TOLERANCE:
        raise SignatureRefused(
            f"signed at {signature.created:%Y-%m-%d %H:%M:%S}, expected within {CLOCK_TOLERANCE} of "
            f"{now:%Y-%m-%d %H:%M:%S}",
            hint="ask /v1/time for the coordinator's clock, and sign by it",
        )


def _base(message: Message, parameters: str) -> bytes:
    """Make the signature base (RFC 9421, section 2.5); derived components as in sections 2.2.1, 2.2.6 and 2.2.7."""
    lines = (
        f'"@method": {message.method}',
        f'"@path": {message.path}',
        f'"@query": ?{message.query}',
        f'"content-digest": {_content_digest(message.body)}',
        f'"@signature-params": {parameters}',
    )
    return "\n".join(lines).encode("utf-8")


def _content_digest(digest: Digest) -> str:
    return f"sha-256=:{base64.b64encode(bytes.fromhex(digest.hex)).decode('ascii')}:"


def _read_bytes(text: str, label: str, name: str) -> bytes:
    found = _BYTES.fullmatch(text)
    if found is None or found["label"] != label:
        raise SignatureRefused(f"{name} is not the one that a worker's request has", hint=_HOW)
    try:
        return base64.b64decode(found["data"], validate=True)
    except binascii.Error as error:
        raise SignatureRefused(f"{name}: not standard base64", hint=_HOW) from error


_HOW = "requests are signed as docs/FARM.md says, with the key that the worker was enrolled with"
