"""Statements, provenance and summary: what they say, and that none can be mistaken for a match."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from rebuilder.attest.context import make_context
from rebuilder.attest.derive import derive
from rebuilder.attest.provenance import PROVENANCE, SUMMARY
from rebuilder.attest.verdict import predicate_type
from rebuilder.attest.verify_request import verify_schema
from rebuilder.errors import HostileInput
from rebuilder.model.codec import render
from rebuilder.model.digest import Digest
from rebuilder.model.dossier import Dossier
from rebuilder.model.verdict import Verdict
from tests.attest.factory import ALL, ATTESTER, BUILDER, PULLED, dossier, pulled, reference_bytes, refused


def payloads(value: Dossier, *, accepts_equivalent: bool = False) -> dict[str, bytes]:
    """Derive all payloads of a dossier by path."""
    context = make_context(
        ATTESTER.public_key, BUILDER.public_key, ordinal=0, accepts_equivalent=accepts_equivalent, documents=()
    )
    return {document.place.path: document.payload for document in derive(value, context)}


def statement(name: str, kind: str, *, accepts_equivalent: bool = False) -> dict[str, Any]:
    """Derive one statement of the release that has an artifact of each verdict."""
    path = f"attestations/{name}_1.0-1_amd64.deb/{kind}.dsse.json"
    made: dict[str, Any] = json.loads(payloads(dossier(ALL).dossier, accepts_equivalent=accepts_equivalent)[path])
    return made


def test_only_a_match_has_the_plain_predicate_type() -> None:
    """A client that looks at type and subject alone cannot take anything else for a match."""
    types = {verdict: predicate_type(verdict) for verdict in Verdict}
    assert types[Verdict.REPRODUCED] == "urn:rebuilder:predicate:verdict:v1"
    assert types[Verdict.DIFFERENT] == "urn:rebuilder:predicate:verdict-different:v1"
    assert len(set(types.values())) == len(Verdict)


@pytest.mark.parametrize(("name", "verdict"), list(ALL.items()))
def test_every_verdict_is_stated_and_satisfies_the_schema(name: str, verdict: Verdict) -> None:
    """Match, near match, no answer and difference: each has a statement of its own type."""
    made = statement(name, "verdict")
    assert made["predicate"]["verdict"] == verdict
    assert made["predicateType"] == predicate_type(verdict)
    verify_schema(json.dumps(made).encode(), name)


def test_a_statement_says_how_the_reference_was_authenticated() -> None:
    """Evidence, sources, environment, rule, log, tools, and the digest of the dossier are in the predicate."""
    predicate = statement("differs", "verdict")["predicate"]
    assert predicate["quorum"] == {"rebuilds": 1, "note": "one builder's word"}
    assert predicate["reference"]["digest"]["sha256"] == Digest.of(reference_bytes("differs_1.0-1_amd64.deb")).hex
    assert [piece["subject"] for piece in predicate["authentication"]["evidence"]] == [
        "InRelease",
        "differs_1.0-1_amd64.deb",
    ]
    assert predicate["environment"]["fidelity"] == "inferred"
    assert predicate["comparison"]["rule"] == "deb/1"
    assert predicate["comparison"]["findings"][0] == {
        "cause": "payload-changed",
        "count": 1,
        "securityRelevant": True,
        "removedBy": None,
    }
    assert predicate["control"]["answer"] == "deterministic"
    assert predicate["rebuild"]["builder"] == BUILDER.public_key.keyid
    assert predicate["dossier"]["sha256"] == Digest.of(render(dossier(ALL).dossier)).hex
    assert "diffoscope had no tool for one format" in predicate["notChecked"]
    assert any("inferred" in note for note in predicate["notChecked"])
    assert predicate["concludedOn"] == "2026-11-24T06:06:00Z"


def test_subject_is_the_published_file_or_what_there_is() -> None:
    """The reference; without one, what was built; without either, the source."""
    assert statement("sample", "verdict")["predicate"]["subjectIs"] == "reference"
    unknown = statement("unknown", "verdict")
    assert unknown["predicate"]["subjectIs"] == "rebuilt"
    assert unknown["subject"][0]["digest"]["sha256"] == unknown["predicate"]["rebuilt"]["digest"]["sha256"]
    value = refused().dossier
    artifact = replace(value.release.artifacts[0], reference=None)
    comparison = replace(value.comparison.artifacts[0], reference=None)
    value = replace(
        value,
        release=replace(value.release, artifacts=(artifact,)),
        comparison=replace(value.comparison, artifacts=(comparison,)),
    )
    path = "attestations/sample_1.0-1_amd64.deb/verdict.dsse.json"
    source = json.loads(payloads(value)[path])
    assert source["predicate"]["subjectIs"] == "source"
    assert [subject["name"] for subject in source["subject"]] == ["sample_1.0-1.dsc", "sample_1.0.orig.tar.xz"]
    bare = replace(value, release=replace(value.release, sources=()))
    assert json.loads(payloads(bare)[path])["predicate"]["subjectIs"] == "dossier"


def test_provenance_is_of_what_we_built() -> None:
    """Its subject is the rebuilt file, never the published one, and it names every input by digest."""
    made = statement("differs", "slsa-provenance")
    assert made["predicateType"] == PROVENANCE
    verdict = statement("differs", "verdict")["predicate"]
    assert made["subject"][0]["digest"] == verdict["rebuilt"]["digest"] != verdict["reference"]["digest"]
    definition = made["predicate"]["buildDefinition"]
    kinds = {entry.get("annotations", {}).get("kind") for entry in definition["resolvedDependencies"]}
    assert kinds == {"source", "image", "image-lock", "package"}
    run = made["predicate"]["runDetails"]
    assert run["builder"]["id"] == f"urn:rebuilder:builder:{BUILDER.public_key.keyid}"
    assert run["metadata"]["startedOn"] == "2026-11-24T06:00:00Z"


def test_a_pulled_image_is_said_to_be_pulled() -> None:
    """Statement and provenance carry the reference, and what was not checked about it; without one neither word is."""
    made = payloads(pulled())
    verdict = made["attestations/sample_1.0-1_amd64.deb/verdict.dsse.json"]
    verify_schema(verdict, "sample")
    predicate = json.loads(verdict)["predicate"]
    assert predicate["environment"]["pulled"] == PULLED
    assert any("pulled, not bootstrapped" in note for note in predicate["notChecked"])
    provenance = json.loads(made["attestations/sample_1.0-1_amd64.deb/slsa-provenance.dsse.json"])["predicate"]
    (image,) = [each for each in provenance["buildDefinition"]["resolvedDependencies"] if each["name"] == "image"]
    assert image["annotations"] == {"kind": "image", "pulled": PULLED}
    assert not any(b"pulled" in payload for payload in payloads(dossier().dossier).values())


def test_nothing_built_means_no_provenance() -> None:
    """A refused release has a verdict and a failed summary; there is no build to describe."""
    paths = payloads(refused().dossier)
    assert not any("provenance" in path for path in paths)
    assert any("slsa-vsa" in path for path in paths)


@pytest.mark.parametrize(
    ("name", "accepts", "result", "level"),
    [
        ("sample", False, "PASSED", "REBUILDER_REPRODUCED"),
        ("alike", False, "FAILED", "FAILED"),
        ("alike", True, "PASSED", "REBUILDER_EQUIVALENT"),
        ("differs", True, "FAILED", "FAILED"),
    ],
)
def test_summary_passes_only_what_the_policy_takes(name: str, accepts: bool, result: str, level: str) -> None:  # noqa: FBT001
    """PASSED for a match, for an equivalent if the policy says so, and for nothing else."""
    made = statement(name, "slsa-vsa", accepts_equivalent=accepts)
    assert made["predicateType"] == SUMMARY
    assert made["predicate"]["verificationResult"] == result
    assert made["predicate"]["verifiedLevels"] == [level]
    assert made["predicate"]["resourceUri"] == f"pkg:deb/debian/{name}@1.0-1?arch=amd64&distro=trixie"


def test_summary_of_a_refused_release_fails() -> None:
    """Undecided is not passed."""
    made = json.loads(payloads(refused().dossier)["attestations/sample_1.0-1_amd64.deb/slsa-vsa.dsse.json"])
    assert made["predicate"]["verificationResult"] == "FAILED"


def test_summary_names_the_statements_it_rests_on() -> None:
    """Input attestations carry the digests of the statements' payloads."""
    made = payloads(dossier().dossier)
    folder = "attestations/sample_1.0-1_amd64.deb"
    inputs = json.loads(made[f"{folder}/slsa-vsa.dsse.json"])["predicate"]["inputAttestations"]
    expected = {
        Digest.of(made[f"{folder}/verdict.dsse.json"]).hex,
        Digest.of(made[f"{folder}/slsa-provenance.dsse.json"]).hex,
    }
    assert {entry["digest"]["sha256"] for entry in inputs} == expected


def test_without_a_reference_there_is_no_summary() -> None:
    """A verification summary is about a published file; where there is none, none is written."""
    assert not any("unknown" in path and "slsa-vsa" in path for path in payloads(dossier(ALL).dossier))


def test_payloads_are_a_pure_function() -> None:
    """Deriving twice gives the same bytes: no clock, no randomness."""
    assert payloads(dossier(ALL).dossier) == payloads(dossier(ALL).dossier)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("predicateType",), "urn:rebuilder:predicate:verdict-different:v1"),
        (("predicate", "verdict"), "different"),
        (("predicate", "verdict"), "perfect"),
        (("predicate", "quorum", "note"), "many builders agree"),
        (("predicate", "causes"), ["no-such-cause"]),
        (("predicate", "reference", "digest", "sha256"), "00"),
        (("predicate", "more"), 1),
        (("subject",), []),
    ],
)
def test_schema_refuses_what_the_format_forbids(place: tuple[str, ...], value: object) -> None:
    """Type and verdict belong together; unknown members, words and digests are refused."""
    made = statement("sample", "verdict")
    target = made
    for key in place[:-1]:
        target = target[key]
    target[place[-1]] = value
    with pytest.raises(HostileInput, match="does not satisfy the schema"):
        verify_schema(json.dumps(made).encode(), "verdict.dsse.json")
