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

from rebuilder.attest.builder import sign_rebuild
from rebuilder.attest.check import check
from rebuilder.attest.consistency import verify_dossier
from rebuilder.attest.context import Builder, Context
from rebuilder.attest.request import load_request, write_request
from rebuilder.attest.signer import Quorum
from rebuilder.errors import HostileInput, RebuilderError, SignatureRefused, UntrustedError
from rebuilder.model.cause import Cause
from rebuilder.model.codec import parse, render
from rebuilder.model.digest import Digest
from rebuilder.model.dossier import Dossier
from rebuilder.model.verdict import Control, Outcome, Verdict
from tests.attest.builders import (
    DOMAINS,
    FILENAME,
    SECOND,
    THIRD,
    TWO,
    agreeing,
    disagreeing,
    failed,
    other_outputs,
    publish,
    run_of,
    sign,
    stage,
    together,
)
from tests.attest.factory import ATTESTER, BUILDER, Staged, dossier, files_of
from tests.attest.test_forgeries import forged, inside, leaves

KEYS = (ATTESTER.public_key,)
STATEMENT = f"attestations/{FILENAME}/verdict.dsse.json"


def predicate(result: Path, kind: str = "verdict") -> dict[str, Any]:
    """Read the predicate of a signed statement."""
    envelope = json.loads((result / f"attestations/{FILENAME}/{kind}.dsse.json").read_bytes())
    found: dict[str, Any] = json.loads(base64.b64decode(envelope["payload"]))["predicate"]
    return found


def one(value: Dossier) -> Any:
    """Give the one compared artifact."""
    (artifact,) = value.comparison.artifacts
    return artifact


def compared(value: Dossier, **changes: object) -> Dossier:
    """Change members of the one artifact's comparison."""
    lie = replace(one(value), **changes)
    return replace(value, comparison=replace(value.comparison, artifacts=(lie,)))


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


def hidden() -> Dossier:
    """Say of a disagreement that it was reproduced, as the first builder has it."""
    return compared(disagreeing(), verdict=Verdict.REPRODUCED, causes=(), findings=())


def pending() -> Dossier:
    """Make a dossier in which the second of two builders failed."""
    value = dossier().dossier
    return together(value, failed(value, SECOND))


def others(*changes: dict[str, object]) -> Dossier:
    """Make a dossier of agreeing builders, and change the other builders' runs."""
    value = agreeing()
    runs = (replace(run, **change) for run, change in zip(value.others, changes, strict=False))  # type: ignore[arg-type]
    return replace(value, others=tuple(runs))


LIES: dict[str, tuple[Callable[[], Dossier], str]] = {
    "disagreement-hidden": (hidden, "builders are disagreeing, and that leaves no answer"),
    "disagreement-called-different": (
        lambda: compared(disagreeing(), verdict=Verdict.DIFFERENT, causes=(Cause.PAYLOAD_CHANGED,)),
        "builders are disagreeing, and that leaves no answer",
    ),
    "disagreement-called-a-failed-build": (
        lambda: compared(disagreeing(), causes=(Cause.BUILD_FAILED,)),
        "`disagreement` is a cause when builders gave different bytes",
    ),
    "disagreement-invented": (
        lambda: compared(agreeing(), verdict=Verdict.UNDECIDED, causes=(Cause.DISAGREEMENT,)),
        "`disagreement` is a cause when builders gave different bytes",
    ),
    "disagreement-of-one-builder": (
        lambda: compared(dossier().dossier, verdict=Verdict.UNDECIDED, causes=(Cause.DISAGREEMENT,)),
        "`disagreement` is a cause when builders gave different bytes",
    ),
    "quorum-pending-hidden": (
        lambda: compared(pending(), verdict=Verdict.REPRODUCED, causes=()),
        "builders are incomplete, and that leaves no answer",
    ),
    "quorum-pending-called-a-failed-build": (
        lambda: compared(pending(), causes=(Cause.BUILD_FAILED,)),
        "`quorum-pending` is no cause",
    ),
    "quorum-pending-invented": (
        lambda: compared(agreeing(), verdict=Verdict.UNDECIDED, causes=(Cause.QUORUM_PENDING,)),
        "yet every builder answered",
    ),
    "another-rebuild-duplicated": (
        lambda: replace(agreeing(), others=agreeing().others[:1] * 2),
        "a builder is counted twice",
    ),
    "the-rebuild-s-own-builder-once-more": (
        lambda: others({"builder": BUILDER.public_key.keyid, "ordinal": 1}),
        "a builder is counted twice",
    ),
    "another-rebuild-of-another-plan": (lambda: others({"plan": Digest.of(b"another plan")}), "is of plan"),
    "another-rebuild-in-a-used-environment": (
        lambda: others({"fresh_environment": False}),
        f"builder {SECOND.public_key.keyid[:16]} used a prepared environment",
    ),
    "rebuild-in-a-used-environment": (
        lambda: replace(agreeing(), rebuild=replace(agreeing().runs[0], fresh_environment=False)),
        f"builder {BUILDER.public_key.keyid[:16]} used a prepared environment",
    ),
    "others-without-a-rebuild": (
        lambda: replace(compared(agreeing(), verdict=Verdict.UNDECIDED, rebuilt=None), rebuild=None),
        "runs of other builders without a rebuild",
    ),
    "control-is-another-builder-s-run": (
        lambda: replace(agreeing(Verdict.DIFFERENT), control=agreeing(Verdict.DIFFERENT).others[0]),
        "the control run is the rebuild itself",
    ),
}


@pytest.mark.parametrize("name", [*LIES])
def test_attack_dossier(name: str) -> None:
    """A dossier whose quorum does not follow from its runs is refused, and named."""
    make, message = LIES[name]
    with pytest.raises(HostileInput, match=message):
        verify_dossier(make())


def put_record(staged: Staged, name: str, record: bytes, value: Dossier | None = None) -> None:
    """Put another record into a request, list it as evidence, and derive everything from it."""
    (staged.result / name).write_bytes(record)
    documents = tuple(
        replace(document, digest=Digest.of(record), size_bytes=len(record)) if document.path == name else document
        for document in staged.context.documents
    )
    context = replace(staged.context, documents=documents)
    write_request(staged.request, staged.result, value or load_request(staged.request).dossier, context)


def change(staged: Staged, value: Dossier | None = None, **changes: object) -> None:
    """Have the coordinator lie in the context, and derive everything from the lie."""
    context = replace(staged.context, **changes)  # type: ignore[arg-type]
    write_request(staged.request, staged.result, value or load_request(staged.request).dossier, context)


def drop_a_builder(staged: Staged) -> None:
    """Hide the third builder's run, and leave its record."""
    value = agreeing()
    change(staged, replace(value, others=value.others[:1]), others=staged.context.others[:1])


def edit_the_count(staged: Staged) -> None:
    """Write that more builders agree than there are."""
    path = staged.request / "unsigned" / STATEMENT
    plain = json.loads(path.read_bytes())
    plain["predicate"]["quorum"] |= {"rebuilds": 4, "note": "4 builders' word: the same in 4 fault domains"}
    path.write_bytes(render(plain))


def outputs_of_the_published(staged: Staged) -> None:
    """Write into the dossier that the second builder agrees, which signed something else."""
    value = agreeing()
    put_record(staged, "others/1.dsse.json", sign_rebuild(run_of(value, SECOND, outputs=other_outputs(value)), SECOND))


def one_key_as_two_builders(staged: Staged) -> None:
    """Have the first builder's key pose as the second builder."""
    value = agreeing()
    run = run_of(value, BUILDER, ordinal=1)
    value = replace(value, others=(run, value.others[1]))
    first = Builder(pem=BUILDER.public_key.pem, fault_domain="rack-1")
    put_record(staged, "others/1.dsse.json", sign_rebuild(run, BUILDER), value)
    change(
        replace(staged, context=load_request(staged.request).context), value, others=(first, staged.context.others[1])
    )


def domain(staged: Staged, found: str | None) -> None:
    """Say of the second builder that it is in another fault domain."""
    second, third = staged.context.others
    change(staged, others=(replace(second, fault_domain=found), third))


REQUEST_LIES: dict[str, tuple[Callable[[Staged], object], type[RebuilderError], str]] = {
    "another-rebuild-dropped": (drop_a_builder, HostileInput, r"logs/other-2\.log\.zst is not an evidence file"),
    "key-dropped": (
        lambda staged: (staged.request / "context.json").write_bytes(
            render(replace(staged.context, others=staged.context.others[:1]))
        ),
        HostileInput,
        "runs of 2 other builders, the context keys of 1",
    ),
    "record-missing": (
        lambda staged: (staged.request / "others/2.dsse.json").unlink(),
        HostileInput,
        "others/2.dsse.json is missing",
    ),
    "records-swapped": (
        lambda staged: put_record(staged, "others/1.dsse.json", (staged.result / "others/2.dsse.json").read_bytes()),
        SignatureRefused,
        "signed by 0 of the keys",
    ),
    "record-signed-by-a-third-for-the-second": (
        lambda staged: change(staged, others=tuple(reversed(staged.context.others))),
        SignatureRefused,
        "signed by 0 of the keys",
    ),
    "record-says-something-else": (outputs_of_the_published, HostileInput, "signed another record than the dossier"),
    "one-key-as-two-builders": (one_key_as_two_builders, HostileInput, "two builders of the quorum have one key"),
    "count-edited-in-the-statement": (
        edit_the_count,
        HostileInput,
        r"/predicate/quorum/note: the dossier says .3 builders' word",
    ),
    "fault-domain-invented": (
        lambda staged: domain(staged, "another-continent"),
        SignatureRefused,
        "expected fault domain cloud/eu, as the operator assigned it, found another-continent",
    ),
    "fault-domain-left-out": (lambda staged: domain(staged, None), SignatureRefused, "found None"),
    "control-builder-without-a-control": (
        lambda staged: change(staged, control=SECOND.public_key.pem),
        HostileInput,
        "a builder of the control run is named",
    ),
}


@pytest.mark.parametrize("name", [*REQUEST_LIES])
def test_attack_request(tmp_path: Path, name: str) -> None:
    """Nothing is signed for a request that lies about other builders."""
    staged = stage(tmp_path, agreeing())
    attack, error, message = REQUEST_LIES[name]
    attack(staged)
    with pytest.raises(error, match=message):
        sign(staged, tmp_path / "journal")
    assert not (staged.request / "signed").exists()


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
