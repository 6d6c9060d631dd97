"""Reading the signed documents of a result directory: verified with the reader's keys, then read, in that order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rebuilder.attest import envelope
from rebuilder.attest.context import Builder, Context, Document
from rebuilder.attest.derive import Form, Place, verdict_path
from rebuilder.attest.keys import PublicKey
from rebuilder.attest.link import verify_metablock
from rebuilder.errors import HostileInput, SignatureRefused
from rebuilder.model.codec import DOCUMENT_LIMIT_BYTES, parse_json
from rebuilder.model.digest import Digest
from rebuilder.model.dossier import Dossier
from rebuilder.world.files import read, storage_errors


def load_context(result: Path, dossier: Dossier, keys: Sequence[PublicKey]) -> Context:
    """Learn the context from the verdict statements, each verified first; they must all tell the same.

    The union of the documents that the statements list is the list of evidence files.
    """
    contexts = []
    for comparison in dossier.comparison.artifacts:
        path = verdict_path(comparison)
        payload = verify_dsse(read_document(result, path), keys)
        contexts.append(_context(_predicate(payload), path))
    if not contexts:
        raise HostileInput("the dossier has no artifact, so there is no verdict to check")
    documents: dict[str, Document] = {}
    for context in contexts:
        for document in context.documents:
            if documents.setdefault(document.path, document) != document:
                raise HostileInput(f"{document.path}: two statements give it different digests")
    every = tuple(documents[path] for path in sorted(documents))
    whole = {replace(context, documents=every) for context in contexts}
    if len(whole) != 1:
        raise HostileInput("the verdict statements are not of one rebuild")
    return whole.pop()


def load_payloads(result: Path, expected: Sequence[Place], key: PublicKey) -> dict[str, bytes]:
    """Return the signed payload of each expected document; raise if one is missing or not signed by `key`."""
    payloads = {}
    for place in expected:
        data = read_document(result, place.path)
        payloads[place.path] = (
            verify_metablock(data, key) if place.form is Form.METABLOCK else verify_dsse(data, (key,))
        )
    return payloads


def attester_key(context: Context, keys: Sequence[PublicKey]) -> PublicKey:
    """Find the reader's key that the statements name as attester."""
    for key in keys:
        if key.keyid == context.attester:
            return key
    raise SignatureRefused(
        f"the statements name attester {context.attester[:16]}, another key than the one that signed"
    )


def verify_dsse(data: bytes, keys: Sequence[PublicKey]) -> bytes:
    """Return the payload of an in-toto envelope that one of `keys` signed."""
    parsed = envelope.parse(data)
    envelope.verify(parsed, keys, payload_type=envelope.IN_TOTO)
    if len(parsed.signatures) != 1:
        raise HostileInput("a published envelope carries one signature; this one carries more")
    return parsed.payload


def read_document(result: Path, path: str) -> bytes:
    """Read one file of a result; raise HostileInput if it is not there, or longer than any document."""
    if not (result / path).is_file():
        raise HostileInput(f"{path} is missing", hint="the result is incomplete: fetch it again, whole")
    with storage_errors(result / path):
        size = (result / path).stat().st_size
    if size > DOCUMENT_LIMIT_BYTES:
        raise HostileInput(f"{path}: {size} bytes; at most {DOCUMENT_LIMIT_BYTES} are read")
    return read(result / path, limit_bytes=DOCUMENT_LIMIT_BYTES)


def _predicate(payload: bytes) -> Mapping[str, Any]:
    statement = parse_json(payload)
    if not isinstance(statement, dict) or not isinstance(statement.get("predicate"), dict):
        raise HostileInput("a verdict statement has no predicate")
    predicate: Mapping[str, Any] = statement["predicate"]
    return predicate


def _context(predicate: Mapping[str, Any], path: str) -> Context:
    try:
        builders = [
            Builder(pem=str(entry["builderKey"]), fault_domain=entry["faultDomain"])
            for entry in predicate["quorum"].get("builders", ())
        ]
        documents = (
            Document(
                path=str(entry["path"]),
                digest=Digest(entry["digest"]["sha256"]),
                size_bytes=int(entry["sizeBytes"]),
            )
            for entry in predicate["documents"]
        )
        return Context(
            attester=str(predicate["attester"]),
            builder=str(predicate["rebuild"]["builderKey"]),
            ordinal=int(predicate["rebuild"]["ordinal"]),
            accepts_equivalent=bool(predicate["authentication"]["acceptsEquivalent"]),
            documents=tuple(sorted(documents)),
            fault_domain=builders[0].fault_domain if builders else None,
            others=tuple(builders[1:]),
            control=predicate["control"].get("builderKey"),
        )
    except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
        raise HostileInput(f"{path}: not a verdict predicate of a version that this program knows") from error
