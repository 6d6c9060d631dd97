"""Which result speaks for a release: the newest that says something about it, and never one about somebody's file."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from rebuilder.model.cause import Cause
from rebuilder.model.dossier import Dossier
from rebuilder.model.evidence import Evidence, Standing
from rebuilder.model.verdict import Verdict
from rebuilder.publish.layout import package_path
from rebuilder.publish.tree import publish
from tests.publish.factory import blob_store, comparison, dossier, publication


def later(of: Dossier, verdict: Verdict, cause: Cause) -> Dossier:
    """Conclude something else about the same release an hour later."""
    found = comparison(of.release, verdict, (cause,))
    return replace(of, comparison=found, concluded_at=of.concluded_at + timedelta(hours=1))


def badge_after(tmp_path: Path, *dossiers: Dossier) -> str:
    """Publish in turn and read the package's badge."""
    blobs = blob_store(tmp_path / "blobs")
    for ordinal, each in enumerate(dossiers):
        publish(publication(each, ordinal=ordinal, blobs=blobs), tmp_path / "results", blobs)
    return (tmp_path / "results" / package_path(dossiers[0]) / "badge.json").read_text()


def test_an_outage_of_the_machine_demotes_nothing(tmp_path: Path) -> None:
    """Undecided for want of infrastructure is published, and the earlier answer stands."""
    first = dossier(verdict=Verdict.REPRODUCED)
    assert '"reproduced"' in badge_after(tmp_path, first, later(first, Verdict.UNDECIDED, Cause.INFRASTRUCTURE))


def test_any_other_answer_takes_the_place(tmp_path: Path) -> None:
    """A source that has gone is about the release."""
    first = dossier(verdict=Verdict.REPRODUCED)
    assert '"undecided"' in badge_after(tmp_path, first, later(first, Verdict.UNDECIDED, Cause.SOURCE_UNAVAILABLE))


def test_a_file_that_somebody_holds_lies_apart(tmp_path: Path) -> None:
    """The defamed release attack: a tampered copy, verified as a local file, reaches neither badge nor history."""
    first = dossier(verdict=Verdict.REPRODUCED)
    artifact = first.release.artifacts[0]
    assert artifact.reference is not None
    held = replace(artifact, reference=replace(artifact.reference, location=None))
    local = replace(first, release=replace(first.release, artifacts=(held, *first.release.artifacts[1:])))
    assert package_path(local).parts[0] == "local-deb"
    assert package_path(first).parts[0] == "deb"


def test_a_file_that_the_source_gives_and_nobody_signed_for_is_no_good_news(tmp_path: Path) -> None:
    """The page of a reproduced file whose name the archive gives to other bytes says so above the verdict."""
    first = dossier(verdict=Verdict.REPRODUCED)
    reference = first.comparison.artifacts[0].reference
    assert reference is not None
    refusal = Evidence(
        scheme="local-file",
        subject=reference.filename,
        subject_digest=reference.digest,
        outcome=Standing.REFUSED,
        reason="a signed index names other bytes",
    )
    refused = replace(first, trust=replace(first.trust, evidence=(*first.trust.evidence, refusal)))
    badge_after(tmp_path, refused)
    (page,) = (path.parent / "index.html" for path in (tmp_path / "results").rglob("dossier.json"))
    text = page.read_text()
    assert "Not what was signed for." in text
    assert "the compared file was refused" in text
    assert "exactly the published bytes" not in text


def in_suite(of: Dossier, suite: str) -> Dossier:
    """Conclude the same in another suite."""
    return replace(of, release=replace(of.release, suite=suite))


def test_the_newest_version_has_the_badge_whichever_was_looked_at_last(tmp_path: Path) -> None:
    """The badge taken over: verifying oldstable's version afterwards changes neither badge nor headline."""
    new = dossier(Verdict.REPRODUCED, version="1.10-1", day=-3)
    old = in_suite(dossier(Verdict.UNDECIDED, version="1.9-1", day=-1), "bookworm")
    assert '"reproduced"' in badge_after(tmp_path, new, old)
    page = (tmp_path / "results" / package_path(new) / "index.html").read_text()
    versions = [match[1] for match in re.finditer(r"<h3>.*?(1\.\d+-1)", page)]
    assert versions == ["1.10-1", "1.9-1"]
    assert page.index("1.10-1") < page.index(", the newest.") < page.index("1.9-1")


def test_the_newest_version_is_the_newest_even_when_it_is_worse(tmp_path: Path) -> None:
    """A newer version takes the badge, with whatever was found."""
    old = dossier(Verdict.REPRODUCED, version="1.9-1", day=-1)
    assert '"different"' in badge_after(tmp_path, old, dossier(Verdict.DIFFERENT, version="1:0.1-1", day=-3))


def test_another_suite_is_no_past(tmp_path: Path) -> None:
    """The false regression: different in oldstable, after another version reproduced in stable, is none."""
    stable = dossier(Verdict.REPRODUCED, version="1.10-1", day=-3)
    oldstable = in_suite(dossier(Verdict.DIFFERENT, version="1.9-1", day=-1), "bookworm")
    badge_after(tmp_path, stable, oldstable)
    assert "regression" not in (tmp_path / "results" / "feed.atom").read_text()
    assert "1.10-1 was" not in (tmp_path / "results" / "index.html").read_text()


def test_a_suites_security_updates_continue_it(tmp_path: Path) -> None:
    """A security update that differs, of a version that reproduced, is a regression."""
    before = dossier(Verdict.REPRODUCED, version="1.10-1", day=-3)
    fixed = in_suite(dossier(Verdict.DIFFERENT, version="1.10-1+deb13u1", day=-1), "trixie-security")
    badge_after(tmp_path, before, fixed)
    assert "Regression: 1.10-1 was reproduced." in (tmp_path / "results" / "feed.atom").read_text()
