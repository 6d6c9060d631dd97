"""The signing step: a process of its own that holds the attestation key, checks everything it can, then signs.

It opens no archive and no evidence file; it trusts its own state directory (enrolled builder keys, journal) and
nothing in the request.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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
from rebuilder.model.verdict import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Quorum:
    """What the signer asks of agreement, out of its own state: never out of a request."""

    builders: int = 1
    """How many must give the same; more than one must be in as many fault domains."""
    fault_domains: Mapping[str, str] = field(default_factory=dict)
    """The operator's own table: fault domain by builder key id."""

    def __post_init__(self) -> None:
        if self.builders < 1:
            raise ValueError("a quorum is of one builder at least")


def sign_request(
    directory: Path,
    *,
    signer: Signer,
    builders: Sequence[PublicKey],
    journal: Path,
    quorum: Quorum = Quorum(),
) -> tuple[str, ...]:
    """Check a signing request, sign it, and write the signed documents under `signed/`; return their paths.

    1. The request is for this attestation key, each builder is one of the enrolled ones (`builders`), and is in the
       fault domain that the signer's own table names. An answer has as many builders, in as many fault domains, as
       the `quorum` asks for; `undecided` needs none.
    2. Records, plan, evidence files, verdicts and payloads hold (`verify_rebuild_documents`), and the schema does.
    3. Payloads are journalled, then signed; the same request again gives the same documents, another one is refused.
    """
    request = load_request(directory)
    _verify_parties(request, signer.public_key, builders)
    _verify_quorum(request, quorum)
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
    known, context = {key.keyid for key in builders}, request.context
    for builder in (*(each.key for each in context.builders), context.control_key):
        if builder.keyid not in known:
            raise SignatureRefused(
                f"builder {builder.keyid[:16]} is not enrolled with this signer",
                hint="enrol its public key, if you trust it",
            )


def _verify_quorum(request: Request, quorum: Quorum) -> None:
    dossier, context = request.dossier, request.context
    for builder in context.builders if context.others else ():
        keyid, found = builder.key.keyid, builder.fault_domain
        if found != (expected := quorum.fault_domains.get(keyid)):
            raise SignatureRefused(
                f"builder {keyid[:16]}: expected fault domain {expected}, as the operator assigned it, found {found}",
                hint="tell the signer in its own state directory in which fault domain the builder is",
            )
    if all(artifact.verdict is Verdict.UNDECIDED for artifact in dossier.comparison.artifacts):
        return
    keyids = {builder.key.keyid for builder in context.builders}
    domains = context.fault_domains(keyids)
    if len(keyids) < quorum.builders or domains < quorum.builders:
        raise SignatureRefused(
            f"expected an answer of {quorum.builders} builders in as many fault domains, "
            f"found {len(keyids)} in {domains}",
            hint="rebuild it with more builders, or publish it as undecided",
        )
