"""Asking for a withdrawal, and signing it: a request of its own kind, and a name of its own in the journal.

withdrawal.json                         the Withdrawal, canonical: what makes the directory a request of this kind
dossier.json attestations/…/verdict…    of the result that is withdrawn
successor/…                             the same of the result that supersedes it, where one is named
unsigned/withdrawal.dsse.json           the payload, byte for byte as it shall be signed
signed/withdrawal.dsse.json             written by the signer
"""

from __future__ import annotations

from pathlib import Path

from rebuilder.attest import envelope
from rebuilder.attest.context import Context, rebuild_id
from rebuilder.attest.derive import Form, Place, derive, verdict_path
from rebuilder.attest.evidence_files import DOSSIER
from rebuilder.attest.inventory import list_files
from rebuilder.attest.journal import Journal
from rebuilder.attest.keys import PublicKey
from rebuilder.attest.published import load_context, load_payloads, read_document
from rebuilder.attest.request import SIGNED, UNSIGNED, parse_dossier, write_document
from rebuilder.attest.signing import Signer
from rebuilder.attest.verify_request import WITHDRAWAL_SCHEMA, first_difference, verify_schema
from rebuilder.attest.withdrawal import predicate_of, read_statement, withdrawal_statement
from rebuilder.errors import HostileInput, SignatureRefused, UntrustedError
from rebuilder.model.codec import parse, render
from rebuilder.model.digest import Digest
from rebuilder.model.dossier import Dossier
from rebuilder.model.withdrawal import FILE_NAME, Successor, Withdrawal, read_predicate

WITHDRAWAL, SUCCESSOR = "withdrawal.json", "successor"


def is_withdrawal_request(directory: Path) -> bool:
    """Whether a directory asks for a withdrawal."""
    return (directory / WITHDRAWAL).is_file()


def write_withdrawal_request(directory: Path, withdrawal: Withdrawal, result: Path, successor: Path | None) -> None:
    """Ask for the signature on the withdrawal of a published result, with what the signer needs to judge it."""
    _copy(result, directory)
    if successor is not None:
        _copy(successor, directory / SUCCESSOR)
    dossier = parse_dossier(read_document(result, DOSSIER))
    write_document(directory / UNSIGNED / FILE_NAME, withdrawal_statement(dossier, withdrawal))
    write_document(directory / WITHDRAWAL, render(withdrawal))


def sign_withdrawal(directory: Path, *, signer: Signer, journal: Path) -> tuple[str, ...]:
    """Check the request for a withdrawal, sign it, and write it under `signed/`; return its path.

    1. The result is one that this key signed: its verdict statements are, and follow from the dossier.
    2. The withdrawal names this result, this key, and, if any, a successor that this key signed for the same release.
    3. The payload is the one that follows, and satisfies the schema.
    4. It is journalled, then signed: a result is withdrawn once. The same withdrawal at a later time is the first one.
    """
    key = signer.public_key
    withdrawal = _load(directory)
    dossier, context = signed_by(directory, key)
    if withdrawal.attester != key.keyid:
        raise SignatureRefused(
            f"the request names attestation key {withdrawal.attester[:16]}, this signer has {key.keyid[:16]}"
        )
    name = rebuild_id(dossier, context)
    payloads = _unsigned(directory)
    found = read_statement(payloads[FILE_NAME], dossier, digest=Digest.of(render(dossier)), identifier=name)
    if found != withdrawal:
        raise HostileInput(f"{UNSIGNED}/{FILE_NAME} is not the withdrawal that {WITHDRAWAL} asks for")
    _successor(directory, withdrawal, dossier, key)
    verify_schema(payloads[FILE_NAME], FILE_NAME, WITHDRAWAL_SCHEMA)
    kept = Journal(journal).kept(_journal_name(name))
    if kept is not None:
        payloads = _first(kept, withdrawal)
    signed = Journal(journal).sign_once(
        _journal_name(name), payloads, lambda _, payload: envelope.sign(payload, envelope.IN_TOTO, signer)
    )
    for path, data in signed.items():
        write_document(directory / SIGNED / path, data)
    return tuple(sorted(signed))


def signed_by(result: Path, key: PublicKey) -> tuple[Dossier, Context]:
    """Read the dossier of a result that this key signed; raise UntrustedError if it is another key's, or was changed.

    The verdict statements say so: they are signed, and are those that follow from the dossier.
    """
    dossier = parse_dossier(read_document(result, DOSSIER))
    context = load_context(result, dossier, (key,))
    if context.attester != key.keyid:
        raise SignatureRefused(f"the result names attester {context.attester[:16]}, this key is {key.keyid[:16]}")
    paths = {verdict_path(comparison) for comparison in dossier.comparison.artifacts}
    payloads = load_payloads(result, [Place(path=path, form=Form.DSSE) for path in sorted(paths)], key)
    for document in derive(dossier, context):
        path = document.place.path
        if path in paths and payloads[path] != document.payload:
            raise HostileInput(f"{path}: {first_difference(document.payload, payloads[path])}")
    return dossier, context


def _journal_name(identifier: str) -> str:
    """Name it apart from every rebuild id, none of which begins so."""
    return f"withdrawal-{identifier}"


def _first(kept: dict[str, bytes], asked: Withdrawal) -> dict[str, bytes]:
    """Give the withdrawal that was signed first, if the same is asked for: a crash lost it, not the decision."""
    first = read_predicate(predicate_of(kept.get(FILE_NAME, b"")))
    if not first.repeats(asked):
        raise UntrustedError(
            f"rebuild {asked.rebuild_id} was already withdrawn with other words; it never gets a second withdrawal",
            hint=f"the reason that was signed: {first.reason}",
        )
    return kept


def _load(directory: Path) -> Withdrawal:
    data = read_document(directory, WITHDRAWAL)
    withdrawal = parse(data, Withdrawal)
    if render(withdrawal) != data:
        raise HostileInput(f"{WITHDRAWAL} is not in canonical form")
    return withdrawal


def _unsigned(directory: Path) -> dict[str, bytes]:
    paths = list_files(directory / UNSIGNED)
    if paths != (FILE_NAME,):
        raise HostileInput(f"documents to sign: expected {FILE_NAME} alone, found {', '.join(paths)[:200] or 'none'}")
    return {FILE_NAME: read_document(directory / UNSIGNED, FILE_NAME)}


def _successor(directory: Path, withdrawal: Withdrawal, dossier: Dossier, key: PublicKey) -> None:
    if withdrawal.superseded_by is None:
        return
    other, context = signed_by(directory / SUCCESSOR, key)
    if successor_of(other, context) != withdrawal.superseded_by:
        raise HostileInput("the successor that the withdrawal names is not the one in the request")
    if not is_same_subject(other, dossier):
        raise HostileInput(
            f"superseded by a result about {other.release.target} {other.architecture}: expected the same release and "
            f"architecture, {dossier.release.target} {dossier.architecture}"
        )


def is_same_subject(one: Dossier, other: Dossier) -> bool:
    """Tell whether two results are about the same release and architecture."""
    return _what(one) == _what(other)


def successor_of(dossier: Dossier, context: Context) -> Successor:
    """Name a result as the one that supersedes another."""
    return Successor(rebuild_id=rebuild_id(dossier, context), dossier=Digest.of(render(dossier)))


def _what(dossier: Dossier) -> tuple[object, ...]:
    release = dossier.release
    return (
        release.ecosystem,
        release.distribution,
        release.name,
        release.version,
        release.is_local,
        dossier.architecture,
    )


def _copy(result: Path, directory: Path) -> None:
    dossier = read_document(result, DOSSIER)
    write_document(directory / DOSSIER, dossier)
    for comparison in parse_dossier(dossier).comparison.artifacts:
        path = verdict_path(comparison)
        write_document(directory / path, read_document(result, path))
