"""A quorum: builders that agree are counted, no more of them than there are; each forgery of it has a name."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rebuilder.attest.check import check
from rebuilder.attest.consistency import verify_dossier
from rebuilder.attest.context import Builder, Context
from rebuilder.attest.signer import Quorum
from rebuilder.errors import HostileInput, SignatureRefused, UntrustedError
from rebuilder.model.cause import Cause
from rebuilder.model.codec import parse, render
from rebuilder.model.dossier import Dossier
from rebuilder.model.verdict import Control, Outcome, Verdict
from tests.attest.builders import (
    DOMAINS,
    FILENAME,
    SECOND,
    THIRD,
    TWO,
    agreeing,
    compared,
    disagreeing,
    failed,
    one,
    publish,
    run_of,
    sign,
    stage,
    together,
)
from tests.attest.factory import ATTESTER, BUILDER, dossier, files_of
from tests.attest.test_forgeries import forged, inside, leaves
from tests.attest.withdrawing import withdraw

KEYS = (ATTESTER.public_key,)
STATEMENT = f"attestations/{FILENAME}/verdict.dsse.json"


def predicate(result: Path, kind: str = "verdict") -> dict[str, Any]:
    """Read the predicate of a signed statement."""
    envelope = json.loads((result / f"attestations/{FILENAME}/{kind}.dsse.json").read_bytes())
    found: dict[str, Any] = json.loads(base64.b64decode(envelope["payload"]))["predicate"]
    return found


def test_builders_that_agree_are_counted(tmp_path: Path) -> None:
    """Three builders in three fault domains gave the published bytes: every document says so, and a check again."""
    result = publish(tmp_path, agreeing())
    claim = predicate(result)["quorum"]
    assert claim["note"] == "3 builders' word: the same in 3 fault domains"
    assert (claim["rebuilds"], claim["faultDomains"], claim["agreement"]) == (3, 3, "unanimous")
    assert [each["faultDomain"] for each in claim["builders"]] == ["rack-1", "cloud/eu", "university"]
    assert predicate(result, "slsa-vsa")["verifiedLevels"] == [
        "REBUILDER_REPRODUCED",
        "REBUILDER_BUILDERS_3",
        "REBUILDER_FAULT_DOMAINS_3",
    ]
    byproducts = {each["name"] for each in predicate(result, "slsa-provenance")["runDetails"]["byproducts"]}
    assert {"others/1.dsse.json", "others/2.dsse.json"} <= byproducts
    report = check(result, KEYS)
    assert report.verdict is Verdict.REPRODUCED
    assert "1 artifacts: 3 builders' word: the same in 3 fault domains" in report.verified
    assert "whether an independent builder obtains the same bytes" not in report.not_checked


def test_a_single_builder_s_documents_keep_their_bytes() -> None:
    """Neither dossier nor context has a new member where there is one builder, and they read back."""
    value = dossier().dossier
    assert b'"others"' not in render(value)
    assert parse(render(value), Dossier) == value
    context = Context(
        attester="a" * 64, builder=BUILDER.public_key.pem, ordinal=0, accepts_equivalent=False, documents=()
    )
    assert set(json.loads(render(context))) == {"accepts_equivalent", "attester", "builder", "documents", "ordinal"}


def test_a_builder_of_an_unknown_fault_domain_adds_none(tmp_path: Path) -> None:
    """Two builders that may stand in one rack are two builders' word in one fault domain."""
    value = dossier().dossier
    value = together(value, run_of(value, SECOND))
    known = {BUILDER.public_key.keyid: "rack-1"}
    staged = stage(tmp_path, value, known)
    sign(staged, tmp_path / "journal", Quorum(fault_domains=known))
    claim = json.loads((staged.request / "unsigned" / STATEMENT).read_bytes())["predicate"]
    assert claim["quorum"]["note"] == "2 builders' word: the same in 1 fault domain"
    assert "whether each of the builders is in a fault domain of its own" in claim["notChecked"]


def test_builders_that_differ_leave_no_answer(tmp_path: Path) -> None:
    """The first gave the published bytes and the second did not: undecided, with both digests, and nobody's link."""
    value = disagreeing()
    result = publish(tmp_path, value)
    assert (one(value).verdict, one(value).causes) == (Verdict.UNDECIDED, (Cause.DISAGREEMENT,))
    claim = predicate(result)["quorum"]
    assert (claim["note"], claim["faultDomains"]) == ("2 builders' word: they do not agree", 0)
    assert len({each["rebuilt"]["sha256"] for each in claim["builders"]}) == 2
    assert predicate(result, "slsa-vsa")["verificationResult"] == "FAILED"
    assert not (result / "links").exists()
    assert not list(result.rglob("slsa-provenance.dsse.json"))
    (link, *_) = result.glob(f"unreproduced/{FILENAME}/metablock/*.link")
    assert json.loads(link.read_bytes())["signed"]["products"] == {}
    assert "do not agree about" in value.reason
    report = check(result, KEYS)
    assert report.verdict is Verdict.UNDECIDED
    assert "1 artifacts: 2 builders' word: they do not agree" in report.verified


def test_a_builder_that_did_not_succeed_leaves_no_answer(tmp_path: Path) -> None:
    """One builder's match is no quorum of two: undecided, with the failure's cause."""
    value = dossier().dossier
    value = together(value, failed(value, SECOND))
    assert one(value).causes == (Cause.BUILD_FAILED, Cause.QUORUM_PENDING)
    result = publish(tmp_path, value)
    assert predicate(result)["quorum"]["note"] == "2 builders' word: only 1 succeeded"
    assert check(result, KEYS).verdict is Verdict.UNDECIDED


@pytest.mark.parametrize("verdict", [Verdict.DIFFERENT, Verdict.EQUIVALENT])
def test_builders_can_agree_about_other_bytes(tmp_path: Path, verdict: Verdict) -> None:
    """All gave the same, and it is not what was published: the verdict stands."""
    value = replace(agreeing(verdict), control=None)
    if verdict is Verdict.DIFFERENT:
        value = compared(value, control=Control.NOT_RUN, control_digest=None)
    report = check(publish(tmp_path, value), KEYS)
    assert report.verdict is verdict


def test_a_control_run_may_be_another_builder_s(tmp_path: Path) -> None:
    """On a farm anybody may run the control: the record is verified with that builder's key, which is named."""
    value = dossier({"sample": Verdict.DIFFERENT}).dossier
    assert value.control is not None
    value = replace(value, control=replace(value.control, builder=SECOND.public_key.keyid, ordinal=0))
    result = publish(tmp_path, value, Quorum())
    assert predicate(result)["control"]["builder"] == SECOND.public_key.keyid
    assert check(result, KEYS).verdict is Verdict.DIFFERENT


def test_all_builders_failing_is_a_failed_build() -> None:
    """Builders that agree that it does not build are no disagreement."""
    value = dossier().dossier
    assert value.rebuild is not None
    value = replace(value, rebuild=replace(value.rebuild, outcome=Outcome.FAILED, outputs=()))
    value = compared(value, verdict=Verdict.UNDECIDED, causes=(Cause.BUILD_FAILED,), rebuilt=None)
    value = together(value, failed(value, SECOND))
    verify_dossier(value)
    assert one(value).causes == (Cause.BUILD_FAILED,)


def test_attack_builder_of_a_quorum_that_nobody_enrolled(tmp_path: Path) -> None:
    """Each builder's key is the signer's own, not the request's."""
    with pytest.raises(SignatureRefused, match=f"builder {THIRD.public_key.keyid[:16]} is not enrolled"):
        sign(stage(tmp_path, agreeing()), tmp_path / "journal", builders=(BUILDER, SECOND))


@pytest.mark.parametrize(
    ("quorum", "message"),
    [
        (Quorum(builders=4, fault_domains=DOMAINS), "4 builders in as many fault domains, found 3 in 3"),
        (Quorum(builders=3, fault_domains=DOMAINS | {THIRD.public_key.keyid: "rack-1"}), "found 3 in 2"),
    ],
)
def test_attack_fewer_builders_than_the_signer_wants(tmp_path: Path, quorum: Quorum, message: str) -> None:
    """The number wanted is the signer's own; two builders in one fault domain count once."""
    staged = stage(tmp_path, agreeing(), dict(quorum.fault_domains))
    with pytest.raises(SignatureRefused, match=message):
        sign(staged, tmp_path / "journal", quorum)


def test_attack_answer_of_one_builder_where_two_are_wanted(tmp_path: Path) -> None:
    """An answer needs the quorum; that there is none yet may always be said."""
    value = dossier().dossier
    with pytest.raises(SignatureRefused, match="2 builders in as many fault domains, found 1 in 1"):
        sign(stage(tmp_path / "a", value), tmp_path / "journal", TWO)
    value = compared(value, verdict=Verdict.UNDECIDED, causes=(Cause.QUORUM_PENDING,), rebuilt=None)
    assert sign(stage(tmp_path / "b", value), tmp_path / "journal", TWO)


def test_a_quorum_of_none_is_refused() -> None:
    """No builder's word is nobody's word."""
    with pytest.raises(ValueError, match="one builder at least"):
        Quorum(builders=0)


def cut(path: Path) -> None:
    """Take the last byte away."""
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize("value", [agreeing, disagreeing])
def test_attack_every_file_of_other_builders(tmp_path: Path, value: Callable[[], Dossier]) -> None:
    """Removed, cut short or exchanged, a record or a log of another builder refuses the whole result."""
    published = publish(tmp_path, value())
    forgeries: tuple[Callable[[Path], object], ...] = (Path.unlink, cut)
    for name in sorted(path.relative_to(published).as_posix() for path in published.rglob("other*") if path.is_file()):
        for number, forge in enumerate(forgeries):
            copy = shutil.copytree(published, tmp_path / f"{number}{name.replace('/', '-')}" / published.name)
            forge(copy / name)
            with pytest.raises(UntrustedError):
                check(copy, KEYS)
    for path in (published / "others").iterdir():
        shutil.copyfile(published / "builder.dsse.json", path)
        with pytest.raises(UntrustedError):
            check(published, KEYS)


def test_a_result_of_several_builders_can_be_withdrawn(tmp_path: Path) -> None:
    """By the key that signed it, as any other; then it is undecided."""
    result = publish(tmp_path, agreeing())
    withdraw(tmp_path, result)
    report = check(result, KEYS)
    assert report.withdrawal is not None
    assert report.verdict is Verdict.UNDECIDED


def test_attack_record_of_a_builder_that_the_dossier_does_not_have(tmp_path: Path) -> None:
    """A record that no statement speaks of does not lie beside a result unnoticed."""
    result = publish(tmp_path, disagreeing())
    (result / "others/2.dsse.json").write_bytes(b"{}")
    with pytest.raises(HostileInput, match=r"others/2\.dsse\.json: no signed document speaks of this file"):
        check(result, KEYS)


def test_attack_every_single_field_of_a_quorum(tmp_path: Path) -> None:
    """Each leaf of each document in which builders agree is changed in turn: each change is refused."""
    result, tried = publish(tmp_path, agreeing()), 0
    for name in files_of(result):
        path = result / name
        if not name.endswith((".json", ".link")):
            continue
        data = path.read_bytes()
        document, payload = json.loads(data), inside(data)
        versions = [render(forged(document, where)) for where in leaves(document)]
        for where in leaves(payload) if payload is not None else ():
            carried = base64.b64encode(render(forged(payload, where))).decode()
            versions.append(render({**document, "payload": carried}))
        for version in versions:
            path.write_bytes(version)
            with pytest.raises(UntrustedError):
                check(result, KEYS)
            tried += 1
        path.write_bytes(data)
    check(result, KEYS)
    assert tried > 500


@pytest.mark.parametrize("word", ["", "two words", "line\nbreak", "x" * 101, "\x00"])
def test_attack_fault_domain_that_is_no_word(word: str) -> None:
    """What an operator assigns is a short printable word."""
    with pytest.raises(ValueError, match="a fault domain is a word"):
        Builder(pem=BUILDER.public_key.pem, fault_domain=word)


def test_attack_fault_domain_of_a_single_builder() -> None:
    """With one builder nothing is said of fault domains, so that its documents keep their bytes."""
    with pytest.raises(ValueError, match="says nothing about a single builder"):
        Context(
            attester="a" * 64,
            builder=BUILDER.public_key.pem,
            ordinal=0,
            accepts_equivalent=False,
            documents=(),
            fault_domain="rack-1",
        )


def test_attack_more_builders_than_a_result_can_speak_of() -> None:
    """The number of records that a stranger can have verified is bounded."""
    with pytest.raises(ValueError, match="at most 15 other builders"):
        Context(
            attester="a" * 64,
            builder=BUILDER.public_key.pem,
            ordinal=0,
            accepts_equivalent=False,
            documents=(),
            others=(Builder(pem=SECOND.public_key.pem),) * 16,
        )
