"""Minimal in-toto links that stock clients verify: step `rebuild` for a match, and for nothing else.

Source: in-toto specification 1.0, section 4.4, and what clients do with it: products carry `sha256` and nothing else
(rules compare whole digest sets); `materials` is empty and `environment` an object, so that honest rebuilders agree
byte for byte and a threshold can be reached; what differs between rebuilders goes into `byproducts`. A Debian version
with an epoch has two names, the pool's without it and the one apt gives the file in its cache; the link has both.
"""

from __future__ import annotations

from typing import Any

from rebuilder.attest.canonical import canonical, olpc_canonical
from rebuilder.attest.context import Case
from rebuilder.attest.keys import PublicKey
from rebuilder.attest.signing import Signer
from rebuilder.errors import HostileInput, SignatureRefused
from rebuilder.model.codec import parse_json
from rebuilder.model.comparison import ArtifactComparison
from rebuilder.model.digest import Digest
from rebuilder.model.dossier import Dossier
from rebuilder.model.verdict import Verdict


def step_name(verdict: Verdict) -> str:
    """Name of the step: `rebuild` is for bit-identical results alone."""
    return "rebuild" if verdict is Verdict.REPRODUCED else f"rebuild-{verdict}"


def link_filename(verdict: Verdict, keyid: str) -> str:
    """Give the file name under which clients look for the link of a functionary."""
    return f"{step_name(verdict)}.{keyid[:8]}.link"


def make_link(case: Case, comparison: ArtifactComparison, statement: bytes) -> dict[str, Any]:
    """Make the link of one artifact, in plain data; `statement` is the verdict statement's payload.

    The product is what we built, never what was published: no rebuild, no products.
    """
    rebuilt = comparison.rebuilt
    products = {name: {"sha256": rebuilt.digest.hex} for name in _names(case.dossier, comparison)} if rebuilt else {}
    return {
        "_type": "link",
        "name": step_name(comparison.verdict),
        "command": [],
        "materials": {},
        "products": products,
        "environment": {},
        "byproducts": {
            "rebuild": case.rebuild_id,
            "statement": f"sha256:{Digest.of(statement).hex}",
            "verdict": str(comparison.verdict),
        },
    }


def apt_name(name: str, version: str, architecture: str) -> str:
    """Give the file name of a .deb in apt's cache: `_` and `:` inside the fields are escaped, in lower case."""

    def quote(field: str, bad: str) -> str:
        return "".join(
            f"%{ord(char):02x}" if char in bad or char == "%" or not "!" <= char <= "~" else char for char in field
        )

    return f"{quote(name, '_:')}_{quote(version, '_:')}_{quote(architecture, '_:.')}.deb"


def metablock_payload(link: dict[str, Any]) -> bytes:
    """Bytes that the signature of classic metadata is over."""
    return olpc_canonical(link)


def sign_metablock(payload: bytes, signer: Signer) -> bytes:
    """Sign classic metadata (link or layout), given as its canonical bytes."""
    return render_metablock(payload, ((signer.public_key.keyid, signer.sign(payload)),))


def render_metablock(payload: bytes, signatures: tuple[tuple[str, bytes], ...]) -> bytes:
    """Write classic metadata canonically; our own signature is the first, as clients expect it."""
    listed = [{"keyid": keyid, "sig": signature.hex()} for keyid, signature in signatures]
    return canonical({"signatures": listed, "signed": parse_json(payload)})


def verify_metablock(data: bytes, key: PublicKey) -> bytes:
    """Return the signed canonical bytes of classic metadata; raise unless `key` made its one signature."""
    plain = parse_json(data)
    if not isinstance(plain, dict) or set(plain) != {"signatures", "signed"}:
        raise HostileInput("classic metadata: an object with exactly signatures and signed is expected")
    payload = olpc_canonical(plain["signed"])
    entries = plain["signatures"]
    if not isinstance(entries, list) or len(entries) != 1 or not isinstance(entries[0], dict):
        raise HostileInput("classic metadata: exactly one signature is expected")
    keyid, text = entries[0].get("keyid"), entries[0].get("sig")
    if keyid != key.keyid or not isinstance(text, str):
        raise SignatureRefused(f"classic metadata: a signature by key {key.keyid[:16]} is expected")
    try:
        signature = bytes.fromhex(text)
    except ValueError as error:
        raise HostileInput("classic metadata: the signature is not hexadecimal") from error
    if render_metablock(payload, ((keyid, signature),)) != data:
        raise HostileInput("classic metadata is not in the form in which it was published")
    key.verify(signature, payload)
    return payload


def _names(dossier: Dossier, comparison: ArtifactComparison) -> tuple[str, ...]:
    if dossier.release.ecosystem != "deb" or not comparison.filename.endswith(".deb"):
        return (comparison.filename,)
    cached = (
        apt_name(artifact.name, artifact.version, artifact.architecture)
        for artifact in dossier.release.artifacts
        if artifact.filename == comparison.filename
    )
    return tuple(dict.fromkeys((comparison.filename, *cached)))
