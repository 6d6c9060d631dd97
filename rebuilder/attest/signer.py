"""The signing step: a process of its own that holds the attestation key, checks everything it can, then signs.

It opens no archive and no evidence file; it trusts its own state directory (enrolled builder keys, journal) and
nothing in the request.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rebuilder.attest import envelope
from rebuilder.attest.context import rebuild_id
from rebuilder.attest.derive import Form, places
from rebuilder.attest.journal import Journal
from rebuilder.attest.keys import PublicKey
from rebuilder.attest.link import sign_metablock
from rebuilder.attest.request import SIGNED, Request, load_request, write_document
from rebuilder.attest.signing import Signer
from rebuilder.attest.verify_request import VERDICT_NAME, verify_rebuild_documents, verify_schema
from rebuilder.errors import SignatureRefused


def sign_request(directory: Path, *, signer: Signer, builders: Sequence[PublicKey], journal: Path) -> tuple[str, ...]:
    """Check a signing request, sign it, and write the signed documents under `signed/`; return their paths.

    1. The request is for this attestation key, and the builder is one of the enrolled ones (`builders`).
    2. Records, plan, evidence files, verdicts and payloads hold (`verify_rebuild_documents`), and the schema does.
    3. Payloads are journalled, then signed; the same request again gives the same documents, another one is refused.
    """
    request = load_request(directory)
    _verify_parties(request, signer.public_key, builders)
    verify_rebuild_documents(request.dossier, request.context, request.attached, request.unsigned)
    for path, payload in request.unsigned.items():
        if path.endswith(VERDICT_NAME):
            verify_schema(payload, path)
    forms = {place.path: place.form for place in places(request.dossier, request.context)}

    def sign(path: str, payload: bytes) -> bytes:
        if forms[path] is Form.METABLOCK:
            return sign_metablock(payload, signer)
        return envelope.sign(payload, envelope.IN_TOTO, signer)

    name = rebuild_id(request.dossier, request.context)
    signed = Journal(journal).sign_once(name, request.unsigned, sign)
    for path, data in signed.items():
        write_document(directory / SIGNED / path, data)
    return tuple(sorted(signed))


def _verify_parties(request: Request, key: PublicKey, builders: Sequence[PublicKey]) -> None:
    if not builders:
        raise SignatureRefused("no builder key is enrolled: nothing can be attested", hint="`rebuilder keys init`")
    if request.context.attester != key.keyid:
        raise SignatureRefused(
            f"the request names attestation key {request.context.attester[:16]}, this signer has {key.keyid[:16]}"
        )
    builder = request.context.builder_key
    if builder.keyid not in {known.keyid for known in builders}:
        raise SignatureRefused(
            f"builder {builder.keyid[:16]} is not enrolled with this signer",
            hint="enrol its public key, if you trust it",
        )
