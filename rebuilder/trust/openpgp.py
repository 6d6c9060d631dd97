"""Documents signed inline in OpenPGP's cleartext framework: InRelease, .dsc, .buildinfo.

https://www.rfc-editor.org/rfc/rfc9580.html#section-7. The verifier is Sequoia (pysequoia). It tolerates text around the
signed message and a second message after it, so the framing is checked here, strictly, before it is asked.

What is accepted, whatever the key: signatures over SHA-256, SHA-384, SHA-512 or SHA-3 digests; keys and binding
signatures as Sequoia's standard policy allows them (no RSA or DSA below 2048 bits, no MD5, no SHA-1); a key that was
valid when the signature says it was made, and not revoked as compromised. The time of signing is the signer's word.
One developer in ten of debian-keyring has a key bound with SHA-1 alone: gpgv accepts those, we say UnusableKey.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import pysequoia
from pysequoia import packet

from rebuilder.errors import ConfigurationError, SignatureRefused
from rebuilder.trust import gpgv, keyring
from rebuilder.trust.keyring import Keyring

Value = TypeVar("Value")

DOCUMENT_LIMIT_BYTES = 32 * 1024**2

_BEGIN_MESSAGE = b"-----BEGIN PGP SIGNED MESSAGE-----"
_BEGIN_SIGNATURE = b"-----BEGIN PGP SIGNATURE-----"
_END_SIGNATURE = b"-----END PGP SIGNATURE-----"
_ACCEPTED_HASHES = frozenset({"SHA256", "SHA384", "SHA512", "SHA3_256", "SHA3_512"})
_SIGNATURES_LIMIT = 16
_WEAKNESS = re.compile(r"\w+ is not considered secure since [0-9-]+")


class UnusableKey(SignatureRefused):
    """The keyring has the key, but as it is there it cannot vouch: its binding is too weak, or it expired before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What one signature packet says about itself; nobody has verified it."""

    key: str
    """Fingerprint of the key, or its 64-bit key id where the signature names no more."""
    made_at: datetime | None
    hash_algorithm: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """Who signed, verified."""

    certificate: str
    """Fingerprint of the certificate's primary key, upper-case."""
    key: str
    """Fingerprint of the key that signed, upper-case."""
    signed_at: datetime | None
    """As the signature says."""
    keyring: str
    """Name and digest of the keyring that has the certificate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedText:
    """A document's text as its signatures cover it, and who signed it."""

    text: bytes
    """Each line ends in a bare line feed, without white space before it: the framework does not sign that."""
    signers: tuple[Signer, ...]
    """At least one."""
    notes: tuple[str, ...]
    """What was not counted: signatures by unknown keys."""
    second_opinion: str | None = None
    """Who agrees, where one was asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frame:
    text: bytes
    signature: bytes


def is_signed(document: bytes) -> bool:
    """Whether a document claims to be signed inline at all."""
    return document.lstrip().startswith(_BEGIN_MESSAGE)


def inspect(document: bytes, name: str) -> tuple[Claim, ...]:
    """Say who a document claims to be signed by, without believing it.

    Raise SignatureRefused for a document that is not exactly one inline-signed message.
    """
    return _claims(_frame(document, name).signature, name)


def unframed(document: bytes, name: str) -> bytes:
    """Return what an inline-signed document's frame covers, unverified; raise SignatureRefused as `inspect` does."""
    return _frame(document, name).text


def verify_inline(document: bytes, keyrings: Sequence[Path], *, name: str, second_opinion: bool = False) -> SignedText:
    """Verify an inline-signed document and return its signed text, nothing else.

    1. The document is exactly one signed message: nothing before, between or after it.
    2. At least one of its signatures is by a key of the keyrings, and valid, and over an accepted hash.
    3. The text that the verifier saw is the text that we see.
    4. With `second_opinion`, gpgv agrees about signer and text.

    Raise SignatureRefused where one of these does not hold (UnusableKey when only the keys are at fault),
    ConfigurationError for unusable keyrings or none.
    """
    if not keyrings:
        raise ConfigurationError(f"no keyring is configured that could vouch for {name}")
    # 1.
    frame = _frame(document, name)
    claims = _claims(frame.signature, name)
    # 2.
    found = _lookup(claims, [keyring.load(path) for path in keyrings])
    if not found:
        keys = ", ".join(claim.key.upper() for claim in claims)
        raise SignatureRefused(
            f"{name}: signed by {keys}, and none of these keys is in {', '.join(path.name for path in keyrings)}",
            hint="is the keyring package up to date?",
        )
    _refuse_unusable(tuple(found), claims, name)
    verified = _verify(document, tuple(found), name)
    makers = (_signer(each.certificate, each.signing_key, claims, found) for each in verified.valid_sigs)
    signers = tuple(maker for maker in makers if maker is not None)
    if not signers:
        raise SignatureRefused(f"{name}: signed over a digest that is no longer accepted (of {_hashes(claims)})")
    # 3.
    if canonical(verified.bytes or b"") + b"\n" != frame.text:  # the last line's end belongs to the frame
        raise SignatureRefused(f"{name}: the verified text is not the text of the document")
    # 4.
    agreeing = _agree(document, found, signers, frame.text, name) if second_opinion else None
    return SignedText(text=frame.text, signers=signers, notes=_unknown_keys(claims, signers), second_opinion=agreeing)


def canonical(text: bytes) -> bytes:
    """Return text as the cleartext framework covers it (RFC 9580, 7.2), with bare line feeds."""
    return b"\n".join(line.rstrip(b" \t\r") for line in text.split(b"\n"))


def _frame(document: bytes, name: str) -> _Frame:
    """Take the message apart (RFC 9580, 7.1 and 7.2)."""
    if len(document) > DOCUMENT_LIMIT_BYTES:
        raise SignatureRefused(f"{name}: {len(document)} bytes; at most {DOCUMENT_LIMIT_BYTES} are read")
    lines = canonical(document).split(b"\n")
    if lines[0] != _BEGIN_MESSAGE:
        what = "text stands before the signed message" if _BEGIN_MESSAGE in lines else "it is not signed inline"
        raise SignatureRefused(f"{name}: {what}")
    if b"" not in lines or any(not line.startswith(b"Hash: ") for line in lines[1 : lines.index(b"")]):
        raise SignatureRefused(f"{name}: only Hash headers may stand in the head of a signed message")
    begin = lines.index(b"") + 1
    if lines.count(_BEGIN_MESSAGE) != 1 or lines.count(_BEGIN_SIGNATURE) != 1 or lines.count(_END_SIGNATURE) != 1:
        raise SignatureRefused(f"{name}: expected one message with one block of signatures")
    middle, end = lines.index(_BEGIN_SIGNATURE), lines.index(_END_SIGNATURE)
    if not begin <= middle < end or any(lines[end + 1 :]):
        raise SignatureRefused(f"{name}: text stands after the signed message")
    body = lines[begin:middle]
    if any(line.startswith(b"-") and not line.startswith(b"- ") for line in body) or b"\0" in document:
        raise SignatureRefused(f"{name}: a line is not escaped as the cleartext framework asks")
    text = b"".join(line.removeprefix(b"- ") + b"\n" for line in body)
    return _Frame(text=text, signature=b"\n".join(lines[middle : end + 1]) + b"\n")


def _claims(signature: bytes, name: str) -> tuple[Claim, ...]:
    packets = tuple(_guarded(lambda: packet.PacketPile.from_bytes(signature), f"{name}: unreadable signature"))
    if not packets or len(packets) > _SIGNATURES_LIMIT or any(each.tag != packet.Tag.Signature for each in packets):
        raise SignatureRefused(f"{name}: expected 1 to {_SIGNATURES_LIMIT} signatures, found {len(packets)} packets")
    claims = tuple(_claim(each) for each in packets)
    named = tuple(claim for claim in claims if claim is not None)
    if not named:
        raise SignatureRefused(f"{name}: no signature says which key made it")
    return named


def _claim(each: packet.Packet) -> Claim | None:
    key = each.issuer_fingerprint or each.issuer_key_id
    algorithm = str(each.hash_algorithm).rpartition(".")[2]
    return Claim(key=key.lower(), made_at=each.signature_created, hash_algorithm=algorithm) if key else None


def _lookup(claims: tuple[Claim, ...], keyrings: Sequence[Keyring]) -> dict[bytes, str]:
    """Find the certificates that the claims name: their bytes, and the keyring that has them."""
    handles = {claim.key for claim in claims}
    return {certificate: ring.issuer for ring in reversed(keyrings) for certificate in ring.certificates(handles)}


def _refuse_unusable(certificates: tuple[bytes, ...], claims: tuple[Claim, ...], name: str) -> None:
    """Raise UnusableKey if no certificate could vouch for anything at the time of signing, by Sequoia's policy."""
    times = [claim.made_at for claim in claims if claim.made_at is not None]
    faults = [_fault(_certificate(raw), max(times, default=None)) for raw in certificates]
    if all(faults):
        keys = ", ".join(claim.key.upper() for claim in claims)
        raise UnusableKey(f"{name}: signed by {keys}, but in the keyring {faults[0]}")


def _fault(cert: pysequoia.Cert, signed_at: datetime | None) -> str | None:
    """Say why a certificate cannot vouch for what was signed then, or None."""
    try:
        expiry = cert.expiration
    except RuntimeError as error:
        weak = _WEAKNESS.search(str(error))
        return f"the key is bound by a weak signature: {weak[0]}" if weak else "the key has no valid binding signature"
    if expiry is not None and signed_at is not None and expiry < signed_at:
        return f"the key expired on {expiry:%Y-%m-%d}, before it signed"
    return None


def _verify(document: bytes, certificates: tuple[bytes, ...], name: str) -> pysequoia.Decrypted:
    certs = [_certificate(raw) for raw in certificates]
    return _guarded(lambda: pysequoia.verify(bytes=document, store=lambda _: certs), f"{name}: no valid signature")


def _certificate(raw: bytes) -> pysequoia.Cert:
    return _guarded(lambda: pysequoia.Cert.from_bytes(raw), "a keyring's certificate is unreadable")


def _signer(certificate: str, key: str, claims: tuple[Claim, ...], found: dict[bytes, str]) -> Signer | None:
    """Name a valid signature's maker; None unless exactly one claim is by that key and over an accepted hash."""
    own = [claim for claim in claims if claim.key in {key, keyring.key_id_of(key)}]
    if len(own) != 1 or own[0].hash_algorithm not in _ACCEPTED_HASHES:
        return None
    ring = next(ring for raw, ring in found.items() if _certificate(raw).fingerprint == certificate)
    return Signer(certificate=certificate.upper(), key=key.upper(), signed_at=own[0].made_at, keyring=ring)


def _unknown_keys(claims: tuple[Claim, ...], signers: tuple[Signer, ...]) -> tuple[str, ...]:
    known = {handle for signer in signers for handle in (signer.key.lower(), keyring.key_id_of(signer.key.lower()))}
    return tuple(
        f"a further signature, by {claim.key.upper()}, was not counted" for claim in claims if claim.key not in known
    )


def _hashes(claims: tuple[Claim, ...]) -> str:
    return ", ".join(sorted({claim.hash_algorithm for claim in claims}))


def _agree(document: bytes, found: dict[bytes, str], signers: tuple[Signer, ...], text: bytes, name: str) -> str:
    opinion = gpgv.verify_inline(document, tuple(found), name=name)
    if not opinion.certificates & {signer.certificate for signer in signers}:
        raise SignatureRefused(f"{name}: gpgv names other signers than Sequoia")
    if canonical(opinion.text) != text:
        raise SignatureRefused(f"{name}: gpgv reads another text than Sequoia")
    return f"gpgv agrees ({opinion.version})"


def _guarded(act: Callable[[], Value], message: str) -> Value:
    """Ask Sequoia; its errors, and its panics on hostile input, become ours, without their backtraces."""
    try:
        return act()
    except BaseException as error:  # a Rust panic is no Exception; everything else is raised again
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        first = (str(error) or type(error).__name__).splitlines()[0][:200]
        raise SignatureRefused(f"{message}: {first}") from None
