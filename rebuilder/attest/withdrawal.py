"""The withdrawal statement: a result is not to be relied on any more (docs/PREDICATE.md).

Nothing that was published is edited: this is one more document in the directory of the result, signed by the key that
signed the result. Its subjects are those of the verdict statements, so that whoever looks for statements about a file
finds it among them; rebuild id and dossier digest bind it to this result and no other.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rebuilder.attest import envelope
from rebuilder.attest.context import Context, rebuild_id
from rebuilder.attest.describe import statement
from rebuilder.attest.keys import PublicKey
from rebuilder.attest.published import read_document, verify_dsse
from rebuilder.attest.verdict import subject_of
from rebuilder.attest.verify_request import first_difference
from rebuilder.errors import HostileInput, SignatureRefused
from rebuilder.model.codec import parse_json, render
from rebuilder.model.digest import Digest
from rebuilder.model.dossier import Dossier
from rebuilder.model.withdrawal import FILE_NAME, Withdrawal, read_predicate, write_predicate

PREDICATE_TYPE = "urn:rebuilder:predicate:withdrawal:v1"


def withdrawal_statement(dossier: Dossier, withdrawal: Withdrawal) -> bytes:
    """Render the unsigned statement that withdraws the result of a dossier."""
    subjects: list[dict[str, Any]] = []
    for comparison in dossier.comparison.artifacts:
        _, subject = subject_of(dossier, withdrawal.dossier, comparison)
        subjects += [each for each in subject if each not in subjects]
    return statement(subjects, PREDICATE_TYPE, write_predicate(withdrawal, verdict=str(dossier.verdict)))


def read_statement(payload: bytes, dossier: Dossier, *, digest: Digest, identifier: str | None) -> Withdrawal:
    """Read a withdrawal of this result; raise HostileInput for one of another, or one that says more or less.

    `digest` is that of `dossier.json`, `identifier` the result's rebuild id, None where nobody says what it is.
    """
    withdrawal = read_predicate(predicate_of(payload))
    if (withdrawal.rebuild_id, withdrawal.dossier) != (identifier or withdrawal.rebuild_id, digest):
        raise HostileInput(
            f"{FILE_NAME} withdraws result {withdrawal.rebuild_id} with dossier {withdrawal.dossier}, not this one",
            hint="a withdrawal counts in the directory of the result that it names, and nowhere else",
        )
    derived = withdrawal_statement(dossier, withdrawal)
    if derived != payload:
        raise HostileInput(f"{FILE_NAME}: {first_difference(derived, payload)}")
    return withdrawal


def peek(data: bytes, dossier: Dossier, *, digest: Digest, identifier: str | None) -> Withdrawal:
    """Read a withdrawal for a page, which verifies no signature: bound to this result, signed by a key of that name."""
    parsed = envelope.parse(data)
    if parsed.payload_type != envelope.IN_TOTO:
        raise HostileInput(f"{FILE_NAME}: payload type {envelope.IN_TOTO} is expected, found {parsed.payload_type}")
    withdrawal = read_statement(parsed.payload, dossier, digest=digest, identifier=identifier)
    if [keyid for keyid, _ in parsed.signatures] != [withdrawal.attester]:
        raise HostileInput(f"{FILE_NAME} names attester {withdrawal.attester[:16]} and is signed by another key")
    return withdrawal


def load_withdrawal(result: Path, dossier: Dossier, context: Context, key: PublicKey) -> Withdrawal | None:
    """Verify and read the withdrawal beside a result; None where there is none.

    Only the key that signed the result can withdraw it: anybody else's word about it is another statement.
    """
    if not (result / FILE_NAME).exists():
        return None
    try:
        payload = verify_dsse(read_document(result, FILE_NAME), (key,))
    except SignatureRefused as error:
        raise SignatureRefused(
            f"{FILE_NAME} is not signed by key {key.keyid[:16]}, which signed the result: {error}",
            hint="only the rebuilder that signed a result withdraws it; remove the file, or fetch the result again",
        ) from error
    digest = Digest.of(render(dossier))
    withdrawal = read_statement(payload, dossier, digest=digest, identifier=rebuild_id(dossier, context))
    if withdrawal.attester != key.keyid:
        raise SignatureRefused(f"{FILE_NAME} names attester {withdrawal.attester[:16]}, another key than signed it")
    return withdrawal


def predicate_of(payload: bytes) -> Mapping[str, Any]:
    """Give the predicate of a withdrawal statement; raise HostileInput for a statement of another kind."""
    plain = parse_json(payload)
    if not isinstance(plain, dict) or plain.get("predicateType") != PREDICATE_TYPE:
        raise HostileInput(f"{FILE_NAME}: not a withdrawal statement, whose predicate type is {PREDICATE_TYPE}")
    predicate = plain.get("predicate")
    if not isinstance(predicate, dict):
        raise HostileInput(f"{FILE_NAME}: a withdrawal statement has no predicate")
    return predicate
