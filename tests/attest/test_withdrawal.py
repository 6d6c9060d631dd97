"""A withdrawal is one more signed document: who may sign it, what it is bound to, and named attacks on either."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from rebuilder.attest.check import check
from rebuilder.attest.envelope import IN_TOTO
from rebuilder.attest.envelope import sign as sign_envelope
from rebuilder.attest.request import parse_dossier
from rebuilder.attest.verify_request import verify_schema
from rebuilder.attest.withdrawal import PREDICATE_TYPE, peek
from rebuilder.attest.withdrawal_request import sign_withdrawal
from rebuilder.errors import HostileInput, SignatureRefused, UntrustedError
from rebuilder.model.codec import parse, render
from rebuilder.model.digest import Digest
from rebuilder.model.dossier import Dossier
from rebuilder.model.verdict import Verdict
from rebuilder.model.withdrawal import FILE_NAME, REASON_LIMIT, Successor, Withdrawal
from tests.attest.factory import ALL, ATTESTER, OWNER, Sample, dossier, files_of, publish, refused
from tests.attest.test_predicate_doc import SCHEMA as VERDICT_SCHEMA
from tests.attest.test_predicate_doc import TEXT
from tests.attest.withdrawing import LATER, REASON, ask, signed_withdrawal, withdraw, withdrawal_of

KEYS = (ATTESTER.public_key,)
DIFFERENT = {"sample": Verdict.DIFFERENT}


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Publish a reproduced release; tests copy what they change."""
    return publish(tmp_path_factory.mktemp("published"), dossier())


@pytest.fixture
def result(published: Path, tmp_path: Path) -> Path:
    """Give a copy that a test may change."""
    return Path(shutil.copytree(published, tmp_path / published.name))


def statement_in(result: Path) -> dict[str, Any]:
    """Read what a published withdrawal says."""
    plain: dict[str, Any] = json.loads(base64.b64decode(json.loads((result / FILE_NAME).read_bytes())["payload"]))
    return plain


def read(result: Path) -> Dossier:
    """Read the dossier of a result."""
    return parse_dossier((result / "dossier.json").read_bytes())


def later_sample() -> Sample:
    """Conclude something else about the same release."""
    sample = dossier()
    return replace(sample, dossier=replace(sample.dossier, concluded_at=LATER))


def test_a_withdrawn_result_holds_and_is_withdrawn(result: Path, tmp_path: Path) -> None:
    """Nothing that was published changes; the check says who withdrew it and why, and gives no verdict."""
    before = {name: (result / name).read_bytes() for name in files_of(result)}
    withdrawal = withdraw(tmp_path, result)
    assert {name: (result / name).read_bytes() for name in files_of(result) if name != FILE_NAME} == before
    report = check(result, KEYS)
    assert (report.withdrawal, report.verdict) == (withdrawal, Verdict.UNDECIDED)
    assert f"withdrawn by attestation key {ATTESTER.public_key.keyid}, which signed it" in report.verified


def test_without_a_withdrawal_the_check_says_what_it_cannot_see(result: Path) -> None:
    """A copy from before the withdrawal looks as it did: the report says so."""
    report = check(result, KEYS)
    assert report.withdrawal is None
    assert "whether the result has been withdrawn since this copy of it was made" in report.not_checked


@pytest.mark.parametrize("sample", [dossier(ALL, epoch=True), refused()], ids=["every verdict", "refused"])
def test_the_statement_has_the_subjects_of_the_verdicts_and_its_schema(sample: Sample, tmp_path: Path) -> None:
    """A client that looks for a file's digest finds the withdrawal beside the verdict; the type is its own."""
    result = publish(tmp_path, sample)
    withdraw(tmp_path, result)
    found = statement_in(result)
    verify_schema(render(found), FILE_NAME, "withdrawal-v1")
    subjects = []
    for path in sorted(result.glob("attestations/*/verdict.dsse.json")):
        subjects += json.loads(base64.b64decode(json.loads(path.read_bytes())["payload"]))["subject"]
    assert sorted(map(str, found["subject"])) == sorted(map(str, subjects))
    assert found["predicateType"] == PREDICATE_TYPE
    assert PREDICATE_TYPE not in VERDICT_SCHEMA["properties"]["predicateType"]["enum"]


def test_every_member_is_documented() -> None:
    """The schema is one, and docs/PREDICATE.md names each of its members and the type."""
    path = Path(__file__).parents[2] / "rebuilder/attest/schema/withdrawal-v1.schema.json"
    schema = json.loads(path.read_text("utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    assert [name for name in schema["$defs"]["predicate"]["properties"] if f"`{name}" not in TEXT] == []
    assert f"`{PREDICATE_TYPE}`" in TEXT


def test_a_successor_of_the_same_release_is_named(result: Path, tmp_path: Path) -> None:
    """The withdrawal holds the rebuild id and the dossier's digest of the result to be relied on instead."""
    successor = publish(tmp_path / "other", later_sample())
    withdrawal = withdraw(tmp_path, result, successor=successor)
    assert withdrawal.superseded_by is not None
    digest = Digest.of((successor / "dossier.json").read_bytes())
    assert statement_in(result)["predicate"]["supersededBy"] == {
        "rebuildId": withdrawal.superseded_by.rebuild_id,
        "dossier": {"sha256": digest.hex},
    }
    assert check(result, KEYS).withdrawal == withdrawal


def test_attack_successor_of_another_release(result: Path, tmp_path: Path) -> None:
    """A result of another release, though signed by the same key, supersedes nothing."""
    sample = dossier(epoch=True)
    successor = publish(tmp_path / "other", sample)
    request = ask(tmp_path, withdrawal_of(result, successor=successor), result, successor)
    with pytest.raises(HostileInput, match="expected the same release and architecture"):
        sign_withdrawal(request, signer=ATTESTER, journal=tmp_path / "journal")


def test_attack_successor_that_the_request_does_not_hold(result: Path, tmp_path: Path) -> None:
    """The signer sees the successor's own signed verdicts, or it names none."""
    successor = publish(tmp_path / "other", later_sample())
    honest = withdrawal_of(result, successor=successor)
    assert honest.superseded_by is not None
    other = Successor(rebuild_id=honest.superseded_by.rebuild_id, dossier=Digest.of(b"another"))
    request = ask(tmp_path, replace(honest, superseded_by=other), result, successor)
    with pytest.raises(HostileInput, match="is not the one in the request"):
        sign_withdrawal(request, signer=ATTESTER, journal=tmp_path / "journal")


def test_signing_again_gives_the_first_withdrawal(result: Path, tmp_path: Path) -> None:
    """After a crash the same is asked for at a later time: what was signed first is handed out again."""
    withdraw(tmp_path, result)
    first = (result / FILE_NAME).read_bytes()
    (result / FILE_NAME).unlink()
    again = replace(withdrawal_of(result), withdrawn_at=LATER.replace(year=2027))
    request = ask(tmp_path / "again", again, result)
    sign_withdrawal(request, signer=ATTESTER, journal=tmp_path / "journal")
    assert (request / "signed" / FILE_NAME).read_bytes() == first


def test_attack_second_withdrawal_with_other_words(result: Path, tmp_path: Path) -> None:
    """One result never has two different withdrawals."""
    withdraw(tmp_path, result)
    request = ask(tmp_path / "again", withdrawal_of(result, reason="on second thoughts"), result)
    with pytest.raises(UntrustedError, match="was already withdrawn with other words") as caught:
        sign_withdrawal(request, signer=ATTESTER, journal=tmp_path / "journal")
    assert caught.value.hint == f"the reason that was signed: {REASON}"


def test_attack_result_of_another_rebuilder(result: Path, tmp_path: Path) -> None:
    """A signer withdraws only what its own key signed."""
    request = ask(tmp_path, withdrawal_of(result), result)
    with pytest.raises(SignatureRefused, match="signed by 0 of the keys that were given"):
        sign_withdrawal(request, signer=OWNER, journal=tmp_path / "journal")
    assert not (request / "signed").exists()


def test_attack_dossier_that_was_never_signed_for(result: Path, tmp_path: Path) -> None:
    """A request with genuine verdict statements and an edited dossier is refused."""
    request = ask(tmp_path, withdrawal_of(result), result)
    edited = replace(read(result), concluded_at=LATER)
    (request / "dossier.json").write_bytes(render(edited))
    with pytest.raises(HostileInput, match="concludedOn: the dossier says"):
        sign_withdrawal(request, signer=ATTESTER, journal=tmp_path / "journal")


def _other_payload(request: Path) -> None:
    path = request / "unsigned" / FILE_NAME
    path.write_bytes(path.read_bytes().replace(REASON.encode(), b"something else"))


def _smuggled_payload(request: Path) -> None:
    (request / "unsigned/verdict.dsse.json").write_bytes(b"{}")


def _no_payload(request: Path) -> None:
    (request / "unsigned" / FILE_NAME).unlink()


def _another_key(request: Path) -> None:
    path = request / "withdrawal.json"
    path.write_bytes(render(replace(parse(path.read_bytes(), Withdrawal), attester=OWNER.public_key.keyid)))


def _loose_spelling(request: Path) -> None:
    (request / "withdrawal.json").write_bytes((request / "withdrawal.json").read_bytes() + b"\n")


@pytest.mark.parametrize(
    ("lie", "error", "message"),
    [
        (_other_payload, HostileInput, "is not the withdrawal that withdrawal.json asks for"),
        (_smuggled_payload, HostileInput, "documents to sign: expected withdrawal.dsse.json alone"),
        (_no_payload, HostileInput, "documents to sign: expected withdrawal.dsse.json alone, found none"),
        (_another_key, SignatureRefused, "the request names attestation key"),
        (_loose_spelling, HostileInput, "withdrawal.json is not in canonical form"),
    ],
)
def test_attack_lie_in_the_request(
    result: Path, tmp_path: Path, lie: Callable[[Path], None], error: type[Exception], message: str
) -> None:
    """Each lie is refused by its own message, before anything is signed or journalled."""
    request = ask(tmp_path, withdrawal_of(result), result)
    lie(request)
    with pytest.raises(error, match=message):
        sign_withdrawal(request, signer=ATTESTER, journal=tmp_path / "journal")
    assert not (tmp_path / "journal").exists()


def test_attack_withdrawal_by_another_key(result: Path) -> None:
    """Another key of the reader's, whoever's it is, cannot withdraw what it did not sign."""
    forged = replace(withdrawal_of(result), attester=OWNER.public_key.keyid)
    (result / FILE_NAME).write_bytes(signed_withdrawal(read(result), forged, OWNER))
    for keys in (KEYS, (ATTESTER.public_key, OWNER.public_key)):
        with pytest.raises(SignatureRefused, match="is not signed by key"):
            check(result, keys)


def test_attack_attester_that_is_not_the_signer(result: Path) -> None:
    """A withdrawal names the key that signs it."""
    odd = replace(withdrawal_of(result), attester=OWNER.public_key.keyid)
    (result / FILE_NAME).write_bytes(signed_withdrawal(read(result), odd))
    with pytest.raises(SignatureRefused, match="another key than signed it"):
        check(result, KEYS)


def test_attack_withdrawal_moved_to_another_result(result: Path, tmp_path: Path) -> None:
    """A genuine withdrawal of a sibling, by the same key, is refused here: another dossier, another id."""
    for number, sample in enumerate((later_sample(), dossier(DIFFERENT))):
        other = publish(tmp_path / str(number), sample)
        withdraw(tmp_path / str(number), other)
        shutil.copy(other / FILE_NAME, result / FILE_NAME)
        with pytest.raises(HostileInput, match="not this one"):
            check(result, KEYS)


def test_attack_withdrawal_within_the_result_but_elsewhere(result: Path, tmp_path: Path) -> None:
    """It has one place: in another it is a file that nobody speaks of."""
    withdraw(tmp_path, result)
    (result / FILE_NAME).rename(result / "attestations" / FILE_NAME)
    with pytest.raises(HostileInput, match="no signed document speaks of this file"):
        check(result, KEYS)


def test_attack_edited_withdrawal(result: Path, tmp_path: Path) -> None:
    """Every byte counts: flipped, cut, or grown, the withdrawal and with it the result are refused."""
    withdraw(tmp_path, result)
    genuine = (result / FILE_NAME).read_bytes()
    for place in range(0, len(genuine), 7):
        (result / FILE_NAME).write_bytes(genuine[:place] + bytes([genuine[place] ^ 1]) + genuine[place + 1 :])
        with pytest.raises(UntrustedError):
            check(result, KEYS)
    for other in (genuine[:-1], genuine + b"\n", b""):
        (result / FILE_NAME).write_bytes(other)
        with pytest.raises(UntrustedError):
            check(result, KEYS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda plain: plain["predicate"].update(verdict="different"), "/predicate/verdict: the dossier says"),
        (lambda plain: plain["predicate"].update(extra=1), "/predicate/extra"),
        (lambda plain: plain["subject"].clear(), "/subject"),
        (lambda plain: plain["predicate"].update(reason="two\nlines"), "not a withdrawal predicate"),
        (lambda plain: plain["predicate"].update(reason=""), "not a withdrawal predicate"),
        (lambda plain: plain["predicate"].update(reason="x" * (REASON_LIMIT + 1)), "not a withdrawal predicate"),
        (lambda plain: plain["predicate"].update(reason=["x"]), "not a withdrawal predicate"),
        (lambda plain: plain["predicate"].update(rebuildId="../.."), "expected a rebuild id"),
        (lambda plain: plain["predicate"].update(withdrawnOn="today"), "not a withdrawal predicate"),
        (lambda plain: plain["predicate"].pop("supersededBy"), "not a withdrawal predicate"),
        (lambda plain: plain.update(predicateType="urn:rebuilder:predicate:verdict:v1"), "not a withdrawal statement"),
        (lambda plain: plain.update(predicate=[]), "has no predicate"),
    ],
)
def test_attack_withdrawal_that_says_more_or_less(
    result: Path, tmp_path: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    """Whatever the key was made to sign: only the statement that follows from dossier and reason is read."""
    withdraw(tmp_path, result)
    plain = statement_in(result)
    change(plain)
    (result / FILE_NAME).write_bytes(sign_envelope(render(plain), IN_TOTO, ATTESTER))
    with pytest.raises(HostileInput, match=message):
        check(result, KEYS)


def test_a_page_reads_a_withdrawal_of_its_own_result_alone(result: Path, tmp_path: Path) -> None:
    """What is shown without a key in hand is bound to the result, and to the name of the key all the same."""
    withdrawal = withdraw(tmp_path, result)
    data, shown = (result / FILE_NAME).read_bytes(), read(result)
    digest = Digest.of(render(shown))
    assert peek(data, shown, digest=digest, identifier=result.name) == withdrawal
    with pytest.raises(HostileInput, match="not this one"):
        peek(data, shown, digest=digest, identifier=f"{result.name}1")
    with pytest.raises(HostileInput, match="is signed by another key"):
        peek(signed_withdrawal(shown, withdrawal, OWNER), shown, digest=digest, identifier=result.name)


@pytest.mark.parametrize("reason", ["", " ", "a\nb", "a\x1b[31m", "\u202e", "x" * (REASON_LIMIT + 1)])
def test_a_reason_is_one_printable_line(published: Path, reason: str) -> None:
    """Words that act, or that nobody reads, are no reason."""
    with pytest.raises(ValueError, match="one line of 1 to 1000 printable characters"):
        withdrawal_of(published, reason=reason)
