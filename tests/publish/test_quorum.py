"""Results of several builders: who they are, what each gave, and a disagreement where everybody sees it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from rebuilder.model import codec
from rebuilder.model.cause import Cause
from rebuilder.model.dossier import Dossier
from rebuilder.model.verdict import Outcome, Verdict
from rebuilder.publish import words
from rebuilder.publish.index import Index
from rebuilder.publish.render import render_all
from rebuilder.publish.tree import publish
from rebuilder.store.blobs import LocalBlobs
from tests.publish import factory
from tests.publish.look import Page

OTHERS = ("1" * 64, "2" * 64)


def together(*, agree: bool = True, version: str = "1.7.18-3.1", day: int = 0) -> Dossier:
    """Make a dossier of three builders; without `agree` the last gave other bytes."""
    value = factory.dossier(version=version, day=day)
    assert value.rebuild is not None
    runs = [replace(value.rebuild, builder=builder, fresh_environment=True) for builder in OTHERS]
    if agree:
        return replace(value, others=tuple(runs))
    first, *rest = value.comparison.artifacts
    made = (factory.reference(first.filename, "another builder's"), *runs[1].outputs[1:])
    apart = replace(first, verdict=Verdict.UNDECIDED, causes=(Cause.DISAGREEMENT,), rebuilt=None)
    return replace(
        value,
        others=(runs[0], replace(runs[1], outputs=made)),
        comparison=replace(value.comparison, artifacts=(apart, *rest)),
        reason="3 builders do not agree about a file",
    )


def page_of(value: Dossier, root: Path, blobs: LocalBlobs) -> Page:
    """Publish a result with other builders' records, and read its page."""
    publication = factory.publication(value)
    records = {f"others/{number}.dsse.json": factory.envelope("rebuild") for number in (1, 2)}
    records["logs/other-1.log.zst"] = b"log"
    directory = publish(replace(publication, documents={**publication.documents, **records}), root, blobs)
    return Page(directory / "index.html")


def test_builders_that_agree_are_named(tmp_path: Path, blobs: LocalBlobs) -> None:
    """Each with its key, its run, its digest of each file, its record and its log."""
    value = together()
    page = page_of(value, tmp_path, blobs)
    assert "3 builders\u2019 word: the same" in page.text
    assert all(builder in page.text for builder in (factory.BUILDER, *OTHERS))
    assert "one builder\u2019s word" not in page.text
    assert "Builder 3: succeeded" in page.text
    assert "another builder\u2019s rebuild record, signed by it" in page.text
    links = [link["href"] for link in page.all("a")]
    assert "logs/other-1.log.zst" in links
    assert "logs/other-2.log.zst" not in links


def test_a_disagreement_is_seen_on_every_page(tmp_path: Path, blobs: LocalBlobs) -> None:
    """The result shows each digest, the list of everything names it, and so does the feed."""
    value = together(agree=False)
    page = page_of(value, tmp_path, blobs)
    assert "3 builders\u2019 word: they do not agree" in page.text
    made = value.others[1].outputs[0].digest
    assert str(made) in page.text
    assert "nothing that all builders gave" in page.text
    assert (tmp_path / f"by-digest/sha256/{made.hex}.json").is_file()
    assert "3 builders do not agree about a file" in page.text
    assert "Builders disagree" in Page(tmp_path / "index.html").text
    assert '<category term="disagreement"/>' in (tmp_path / "feed.atom").read_text()


def test_a_builder_that_did_not_succeed_is_said_to_be_one() -> None:
    """Two of three are not three."""
    value = together()
    failed = replace(value.others[1], outcome=Outcome.FAILED, outputs=())
    assert (
        words.builders(replace(value, others=(value.others[0], failed))) == "3 builders\u2019 word: not all succeeded"
    )


def test_where_the_first_builder_failed_nothing_is_said_to_have_been_built_by_nobody(
    tmp_path: Path, blobs: LocalBlobs
) -> None:
    """Others built something; it was not compared, for not all did."""
    value = together(agree=False)
    assert value.rebuild is not None
    failed = replace(value.rebuild, outcome=Outcome.FAILED, outputs=(), reason="no compiler")
    page = page_of(replace(value, rebuild=failed), tmp_path, blobs)
    assert "not compared: there was nothing that all builders gave" in page.text
    assert "nothing was built" not in page.text


@pytest.mark.parametrize("now", [Verdict.EQUIVALENT, Verdict.DIFFERENT])
def test_a_regression_is_seen_beyond_what_was_undecided(tmp_path: Path, blobs: LocalBlobs, now: Verdict) -> None:
    """Reproduced, then no answer, then worse: the lists for people and for programs say what it was."""
    for value in (
        factory.dossier(Verdict.REPRODUCED, version="1", day=0),
        factory.dossier(Verdict.UNDECIDED, version="2", day=1),
        factory.dossier(now, version="3", day=2),
    ):
        publish(factory.publication(value), tmp_path, blobs)
    index = codec.parse((tmp_path / "index.json").read_bytes(), Index)
    found = {summary.version: summary.regressed_from for summary in index.results}
    assert found["1"] is None
    assert found["2"] is None
    before = found["3"]
    assert before is not None
    assert (before.version, before.verdict) == ("1", Verdict.REPRODUCED)
    assert (tmp_path / before.path / "dossier.json").is_file()
    assert "Regression: before, 1 was reproduced" in Page(tmp_path / "deb/cjson/index.html").text
    assert "1 was reproduced" in Page(tmp_path / "index.html").text
    assert "Regression: 1 was reproduced." in (tmp_path / "feed.atom").read_text()
    before_all = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    render_all(tmp_path)
    assert before_all == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
