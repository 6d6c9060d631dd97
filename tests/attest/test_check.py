"""A third party's check: what it verifies, what it says it did not, and named attacks (see test_forgeries too)."""

from __future__ import annotations

import base64
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import zstandard

from rebuilder.attest.check import LOG_LIMIT_BYTES, check
from rebuilder.attest.check_report import Helpers
from rebuilder.attest.envelope import IN_TOTO
from rebuilder.attest.envelope import sign as sign_envelope
from rebuilder.compare.inference import infer_under
from rebuilder.errors import DigestMismatch, HostileInput, SignatureRefused, UntrustedError
from rebuilder.model.cause import Cause
from rebuilder.model.codec import render
from rebuilder.model.comparison import ArtifactComparison, Inference, InferredCause
from rebuilder.model.digest import Digest
from rebuilder.model.dossier import Dossier
from rebuilder.model.verdict import Verdict
from tests.attest.factory import ALL, ATTESTER, BUILDER, OWNER, PAGE, dossier, files_of, publish, refused

KEYS = (ATTESTER.public_key,)
VERDICT_FILE = "attestations/sample_1.0-1_amd64.deb/verdict.dsse.json"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Publish a release with one artifact of each verdict; tests copy what they change."""
    return publish(tmp_path_factory.mktemp("published"), dossier(ALL, epoch=True))


@pytest.fixture
def result(published: Path, tmp_path: Path) -> Path:
    """Give a copy that a test may change."""
    return Path(shutil.copytree(published, tmp_path / published.name))


def test_an_untouched_result_holds(published: Path) -> None:
    """The report says what was computed again, what was absent and what was not checked."""
    report = check(published, KEYS)
    assert report.verdict is Verdict.DIFFERENT
    assert report.rebuild_id == published.name
    assert report.attester == ATTESTER.public_key.keyid
    assert any("verdicts follow from the digests" in line for line in report.verified)
    assert "index.html: derived, not checked" in report.not_checked
    assert any("signed document sha256:" in line for line in report.absent)
    assert any("no comparison was run again" in line for line in report.not_checked)
    assert any("signed indices were not verified again" in line for line in report.not_checked)
    assert "whether an independent builder obtains the same bytes" in report.not_checked


def test_a_refused_release_is_checked_as_well(tmp_path: Path) -> None:
    """A result without plan and build is held to the same rules."""
    report = check(publish(tmp_path, refused()), KEYS)
    assert report.verdict is Verdict.UNDECIDED
    assert not any(line.startswith("0 ") for line in report.verified), "nothing is not said to be verified"


@pytest.mark.parametrize("name", ["extra.txt", "attestations/evil.deb/verdict.dsse.json", "links/x", "logs/other.zst"])
def test_attack_smuggled_file(result: Path, name: str) -> None:
    """A file that no signed document speaks of is refused, wherever it lies."""
    (result / name).parent.mkdir(parents=True, exist_ok=True)
    (result / name).write_bytes(b"{}")
    with pytest.raises(HostileInput, match="no signed document speaks of this file"):
        check(result, KEYS)


def test_attack_empty_directory(result: Path) -> None:
    """A directory without a file is spoken of by nobody, however deep it lies."""
    (result / "links" / "extra").mkdir(parents=True)
    with pytest.raises(HostileInput, match="links/extra/ is an empty directory"):
        check(result, KEYS)


def test_attack_link_in_a_result(result: Path) -> None:
    """A symbolic link is not followed."""
    (result / "logs/link").symlink_to("/etc/hostname")
    with pytest.raises(HostileInput, match="neither a regular file nor a directory"):
        check(result, KEYS)


def test_attack_key_found_beside_the_results(result: Path) -> None:
    """All documents signed anew with the forger's key, its key laid beside them: refused by the reader's key."""
    for name in files_of(result):
        if name.endswith(".dsse.json") and name.startswith("attestations/"):
            payload = base64.b64decode(json.loads((result / name).read_bytes())["payload"])
            (result / name).write_bytes(sign_envelope(payload, IN_TOTO, OWNER))
    (result / "attestation.pub").write_text(OWNER.public_key.pem)
    with pytest.raises(SignatureRefused, match="signed by 0 of the keys that were given"):
        check(result, KEYS)


def test_attack_attester_that_is_not_the_signer(result: Path) -> None:
    """Another key of the reader's cannot stand in for the one that the statements name."""
    for name in files_of(result):
        if name.endswith("/verdict.dsse.json"):
            payload = base64.b64decode(json.loads((result / name).read_bytes())["payload"])
            (result / name).write_bytes(sign_envelope(payload, IN_TOTO, OWNER))
    with pytest.raises(SignatureRefused, match="the statements name attester"):
        check(result, (OWNER.public_key,))
    with pytest.raises(SignatureRefused, match="signed by 0 of the keys"):
        check(result, (OWNER.public_key, ATTESTER.public_key))


def test_attack_documents_of_two_rebuilds_mixed(published: Path, tmp_path: Path) -> None:
    """Genuine, signed documents of another rebuild do not fit into this one."""
    other = publish(tmp_path / "other", dossier({"sample": Verdict.REPRODUCED}, epoch=True))
    result = Path(shutil.copytree(published, tmp_path / "mixed"))
    for name in files_of(other):
        if (
            name in files_of(result)
            and name != "index.html"
            and (result / name).read_bytes() != (other / name).read_bytes()
        ):
            data = (result / name).read_bytes()
            shutil.copy(other / name, result / name)
            with pytest.raises(UntrustedError):
                check(result, KEYS)
            (result / name).write_bytes(data)


def test_attack_statement_of_another_program(result: Path) -> None:
    """A statement that the key did sign, and that is no verdict, gives a clear refusal."""
    payload = render({"_type": "https://in-toto.io/Statement/v1", "predicate": {"documents": []}})
    (result / VERDICT_FILE).write_bytes(sign_envelope(payload, IN_TOTO, ATTESTER))
    with pytest.raises(HostileInput, match="not a verdict predicate of a version that this program knows"):
        check(result, KEYS)
    (result / VERDICT_FILE).write_bytes(sign_envelope(b"[]", IN_TOTO, ATTESTER))
    with pytest.raises(HostileInput, match="has no predicate"):
        check(result, KEYS)


def test_no_key_checks_nothing(result: Path) -> None:
    """Without a key of the reader's there is no check."""
    with pytest.raises(SignatureRefused, match="no key was given"):
        check(result, ())


def test_a_directory_without_a_dossier_is_refused(tmp_path: Path) -> None:
    """What is not a result directory gives a message, not a traceback."""
    with pytest.raises(HostileInput, match=r"dossier\.json is missing"):
        check(tmp_path, KEYS)


def test_a_renamed_directory_is_noted(result: Path, tmp_path: Path) -> None:
    """A reader may keep a result under any name; the report says so."""
    report = check(result.rename(tmp_path / "mine"), KEYS)
    assert any("the directory is not named" in note for note in report.not_checked)


def test_pages_are_rendered_again_and_compared(result: Path) -> None:
    """With a renderer, a page that the documents do not give is refused; pages that they give are checked."""
    pages = {"index.html": PAGE, "reports/differs_1.0-1_amd64.deb/index.html": PAGE}
    helpers = Helpers(rerender=lambda _: pages)
    assert not any("derived, not checked" in note for note in check(result, KEYS, helpers=helpers).not_checked)
    for page in pages:
        (result / page).write_text("<h1>reproduced!</h1>")
        with pytest.raises(HostileInput, match=r"index\.html is not what the documents give"):
            check(result, KEYS, helpers=helpers)
        (result / page).write_bytes(PAGE)


def test_pages_of_another_version_are_not_judged(tmp_path: Path) -> None:
    """Another version of the program renders otherwise: its pages are named as not checked, its documents hold."""
    sample = dossier()
    older = replace(sample, dossier=replace(sample.dossier, tools=(("rebuilder", "0.0.1"),)))
    report = check(publish(tmp_path, older), KEYS, helpers=Helpers(rerender=lambda _: {}))
    assert "index.html: derived, not checked" in report.not_checked


def test_artifacts_are_compared_once_more(result: Path) -> None:
    """Where both files are published, the comparison runs again, and must give the same answer."""
    asked = []

    def honest(reference: Path, rebuilt: Path, recorded: ArtifactComparison) -> ArtifactComparison:
        asked.append((reference.name, rebuilt.parent.name))
        return recorded

    report = check(result, KEYS, helpers=Helpers(recompare=honest))
    assert sorted(asked) == [("alike_1.0-1_amd64.deb", "rebuilt"), ("differs_1.0-1_amd64.deb", "rebuilt")]
    assert sum("compared once more" in line for line in report.verified) == 2


def test_attack_comparison_that_does_not_repeat(result: Path) -> None:
    """A published `equivalent` whose files turn out different is refused; so is a finding that was kept quiet."""

    def otherwise(_: Path, __: Path, recorded: ArtifactComparison) -> ArtifactComparison:
        return replace(recorded, verdict=Verdict.DIFFERENT, stabilizers=())

    with pytest.raises(HostileInput, match="published as equivalent, but comparing again says different"):
        check(result, KEYS, helpers=Helpers(recompare=otherwise))

    def more(_: Path, __: Path, recorded: ArtifactComparison) -> ArtifactComparison:
        found = replace(recorded.findings[0], path="data.tar.xz/./etc/cron.d/x")
        return replace(recorded, findings=(*recorded.findings, found))

    with pytest.raises(HostileInput, match="finds a difference that was not published"):
        check(result, KEYS, helpers=Helpers(recompare=more))


def test_references_are_authenticated_once_more(result: Path) -> None:
    """What the origin's verifier says is in the report; what it refuses, is refused."""
    told = check(result, KEYS, helpers=Helpers(reauthenticate=lambda value: (f"{value.release.name}: verified",)))
    assert "sample: verified" in told.verified

    def refuse(_: Dossier) -> tuple[str, ...]:
        raise SignatureRefused("InRelease: wrong key")

    with pytest.raises(SignatureRefused, match="wrong key"):
        check(result, KEYS, helpers=Helpers(reauthenticate=refuse))


def test_shared_blobs_are_hashed(result: Path, tmp_path: Path) -> None:
    """Signed indices that are there must have their digest; those that are not are listed as absent."""
    blobs = tmp_path / "blobs"
    for data in (b"InRelease", b"Packages"):
        hexadecimal = Digest.of(data).hex
        (blobs / "sha256" / hexadecimal[:2]).mkdir(parents=True, exist_ok=True)
        (blobs / "sha256" / hexadecimal[:2] / hexadecimal).write_bytes(data)
    report = check(result, KEYS, helpers=Helpers(blobs=blobs))
    assert "2 signed indices and evidence documents have the digests that the dossier names" in report.verified
    assert not any("signed document" in line for line in report.absent)
    (blobs / "sha256" / hexadecimal[:2] / hexadecimal).write_bytes(b"other")
    with pytest.raises(DigestMismatch, match="holds other bytes than its name says"):
        check(result, KEYS, helpers=Helpers(blobs=blobs))


@pytest.mark.parametrize(
    ("log", "message"),
    [
        (zstandard.compress(b"another log"), "it decompresses to"),
        (b"not compressed", "not a Zstandard stream"),
    ],
)
def test_attack_log_that_the_builder_did_not_write(tmp_path: Path, log: bytes, message: str) -> None:
    """An attester that was handed another log than the builder reported is found out by the digest in the record."""
    sample = dossier()
    lying = replace(sample, files={**sample.files, "logs/build.log.zst": log})
    with pytest.raises(UntrustedError, match=message):
        check(publish(tmp_path, lying), KEYS)


def test_attack_log_that_expands_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A compressed log is read within a bound."""
    assert LOG_LIMIT_BYTES == 1024**3
    monkeypatch.setattr("rebuilder.attest.check.LOG_LIMIT_BYTES", 1000)
    sample = dossier()
    bomb = replace(sample, files={**sample.files, "logs/build.log.zst": zstandard.compress(bytes(10_000_000))})
    with pytest.raises(HostileInput, match="decompresses to more than"):
        check(publish(tmp_path, bomb), KEYS)


def test_withheld_artifacts_are_named(tmp_path: Path) -> None:
    """A policy may withhold the two files of a difference: the check holds, and says what it could not see."""
    sample = dossier({"sample": Verdict.DIFFERENT})
    files = {path: data for path, data in sample.files.items() if not path.startswith("artifacts/")}
    report = check(publish(tmp_path, replace(sample, files=files)), KEYS)
    assert "artifacts/rebuilt/sample_1.0-1_amd64.deb: not published with this result" in report.absent
    assert any("the files are not here" in note for note in report.not_checked)


def test_the_builders_key_comes_from_the_signed_statement(published: Path) -> None:
    """The builder's record is verified with the key that the attester signed for, which the record names."""
    report = check(published, KEYS)
    assert any(BUILDER.public_key.keyid in line for line in report.verified)


def inferred(tmp_path: Path) -> tuple[Path, Inference]:
    """Publish a difference whose diffoscope's report points to a date."""
    sample = dossier({"sample": Verdict.DIFFERENT})
    named = InferredCause(cause=Cause.BUILD_DATE, path="data.tar/./x", detail="one line")
    inference = Inference(rule="diffoscope-json/1", causes=(named,))
    (only,) = sample.dossier.comparison.artifacts
    comparison = replace(sample.dossier.comparison, artifacts=(replace(only, inference=inference),))
    return publish(tmp_path, replace(sample, dossier=replace(sample.dossier, comparison=comparison))), inference


def test_inferred_causes_are_said_apart_and_inferred_again(tmp_path: Path) -> None:
    """The statement names them as diffoscope's; a reader reads the published report once more, or is told that not."""
    result, inference = inferred(tmp_path)
    report = check(result, KEYS, helpers=Helpers(reinfer=lambda data, rule: inference if (data, rule) else None))
    assert any("said to be inferred from it" in line for line in report.verified)
    assert any("was not inferred again" in line for line in check(result, KEYS).not_checked)
    unknown = check(result, KEYS, helpers=Helpers(reinfer=lambda _data, _rule: None))
    assert any("was not inferred again" in line for line in unknown.not_checked)
    envelope = json.loads((result / VERDICT_FILE).read_bytes())
    predicate = json.loads(base64.b64decode(envelope["payload"]))["predicate"]
    assert predicate["causes"] == ["payload-changed"]
    assert predicate["comparison"]["inferred"] == {
        "from": "diffoscope-json",
        "rule": "diffoscope-json/1",
        "causes": ["build-date"],
        "places": 1,
    }


def test_attack_causes_that_the_report_does_not_point_to(tmp_path: Path) -> None:
    """What is said to be inferred, and is not in the report, is refused; so is a report that is none."""
    result, inference = inferred(tmp_path)
    other = replace(inference, causes=())
    with pytest.raises(HostileInput, match="points to other causes than those that were published"):
        check(result, KEYS, helpers=Helpers(reinfer=lambda _data, _rule: other))
    with pytest.raises(HostileInput, match="expected version 1"):
        check(result, KEYS, helpers=Helpers(reinfer=infer_under))
