from __future__ import annotations

import shutil
from pathlib import Path, PurePosixPath
from urllib.parse import unquote
from xml.etree import ElementTree as ET

import pytest

from rebuilder.errors import StorageFailure
from rebuilder.model import codec
from rebuilder.model.verdict import Verdict
from rebuilder.publish.index import Index, Sightings
from rebuilder.publish.policy import PAGE_POLICY, policy_for
from rebuilder.publish.render import render_all, render_result
from rebuilder.publish.tree import publish
from rebuilder.store.blobs import LocalBlobs
from tests.publish import factory
from tests.publish.look import Page, tree

ATOM = "{http://www.w3.org/2005/Atom}"


def test_the_index_is_for_programs_too(published: Path) -> None:
    """index.json lists the newest result of each version and architecture, round-trips, and counts as the page does."""
    data = (published / "index.json").read_bytes()
    index = codec.parse(data, Index)
    assert codec.render(index) == data
    assert index.counts == {"different": 3, "undecided": 2, "equivalent": 1, "reproduced": 3}
    cjson = {entry.version: entry for entry in index.results if entry.name == "cjson"}
    assert cjson["1.7.18-3.1"].verdict is Verdict.REPRODUCED
    assert cjson["1.7.18-3.1"].previous
    assert cjson["1.7.18-3.1"].previous.verdict is Verdict.UNDECIDED
    package = codec.parse((published / "deb/cjson/index.json").read_bytes(), Index)
    assert [entry.verdict for entry in package.results] == [Verdict.REPRODUCED, Verdict.UNDECIDED, Verdict.REPRODUCED]


def test_a_file_is_found_by_its_digest(published: Path) -> None:
    """Who holds a file finds what was concluded about it: as reference, as rebuilt, as source; newest first."""
    artifact = factory.dossier().comparison.artifacts[0]
    assert artifact.reference
    data = (published / f"by-digest/sha256/{artifact.reference.digest.hex}.json").read_bytes()
    seen = codec.parse(data, Sightings)
    assert [(entry.role, entry.verdict) for entry in seen.results] == [
        ("reference", Verdict.REPRODUCED),
        ("rebuilt", Verdict.REPRODUCED),
        ("reference", Verdict.UNDECIDED),
    ]
    source = factory.dossier().release.sources[0].digest
    data = (published / f"by-digest/sha256/{source.hex}.json").read_bytes()
    assert {entry.role for entry in codec.parse(data, Sightings).results} == {"source"}
    for entry in seen.results:
        assert (published / entry.path / "dossier.json").is_file()


def test_the_feed_is_valid_and_names_regressions(published: Path) -> None:
    """RFC 4287's required elements, entries newest first, identifiers that are digests."""
    feed = ET.fromstring((published / "feed.atom").read_bytes())  # noqa: S314 - our own bytes
    assert [feed.findtext(f"{ATOM}{name}") for name in ("updated", "title")] == [
        "2026-11-21T09:30:00Z",
        "Verdicts of independent rebuilds",
    ]
    entries = feed.findall(f"{ATOM}entry")
    assert len(entries) == 9
    times = [entry.findtext(f"{ATOM}updated") or "" for entry in entries]
    assert times == sorted(times, reverse=True)
    assert len({entry.findtext(f"{ATOM}id") for entry in entries}) == len(entries)
    assert entries[0].findtext(f"{ATOM}title") == "different: libssh2 1.11.1-2 (amd64, trixie)"
    assert {"regression"} <= {category.attrib["term"] for category in entries[0].findall(f"{ATOM}category")}
    for entry in entries:
        link = entry.find(f"{ATOM}link")
        assert link is not None
        assert (published / unquote(link.attrib["href"])).is_file()


def test_damaged_results_are_shown_as_damaged(results: Path) -> None:
    """A forged, a moved and a missing dossier are named on the pages; the others are still rendered."""
    forged = next((results / "deb/munge/0.5.16-1/amd64").glob("*-0"))
    (forged / "dossier.json").write_bytes(b'{"verdict": "reproduced"}')
    moved = next((results / "deb/bubblewrap").glob("0*"))
    moved.rename(moved.parent / "9.9.9-9")
    missing = next((results / "deb/evil/6.6-6/amd64").glob("unplanned*"))
    (missing / "dossier.json").unlink()
    render_all(results)
    index = codec.parse((results / "index.json").read_bytes(), Index)
    reasons = {entry.path.split("/")[1]: entry.reason for entry in index.unreadable}
    assert reasons["munge"].startswith("not a valid Dossier document")
    assert "belongs to deb/bubblewrap/0.11.0-2/amd64" in reasons["bubblewrap"]
    assert "No such file" in reasons["evil"]
    assert "3 results cannot be read" in Page(results / "index.html").text
    assert str(results) not in (results / "index.html").read_text()
    assert {entry.name for entry in index.results} >= {"cjson", "libssh2"}


def test_a_damaged_index_is_made_again(results: Path, blobs: LocalBlobs) -> None:
    """A list that cannot be continued is rebuilt from the documents."""
    wanted = tree(results)
    (results / "index.json").write_bytes(b"{")
    dossier, ordinal = factory.sample()[0]
    publish(factory.publication(dossier, ordinal=ordinal), results, blobs)
    assert tree(results) == wanted


def test_one_result_can_be_rendered_alone(results: Path) -> None:
    """`render_result` brings back the pages of one result."""
    (page,) = (results / "deb/munge/0.5.16-1").glob("*/*/index.html")
    before = page.read_bytes()
    page.unlink()
    render_result(results, PurePosixPath(page.parent.relative_to(results)))
    assert page.read_bytes() == before


def test_lists_without_a_result_behind_them_go_away(results: Path) -> None:
    """A result that its owner removed leaves no look-up by digest and no row."""
    shutil.rmtree(results / "deb/libssh2")
    render_all(results)
    assert "libssh2" not in (results / "index.json").read_text()
    digest = factory.dossier(name="libssh2", version="1.11.1-2").release.sources[0].digest
    assert not (results / f"by-digest/sha256/{digest.hex}.json").exists()


def test_an_empty_directory_gives_an_empty_index(tmp_path: Path) -> None:
    """Nothing published is said as such."""
    render_all(tmp_path / "results")
    assert "Nothing has been published here yet." in (tmp_path / "results/index.html").read_text()
    assert codec.parse((tmp_path / "results/index.json").read_bytes(), Index).as_of is None


def test_a_long_index_is_split_and_shrinks_again(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More rows than a page takes continue on the next; pages that are no longer needed go away."""
    monkeypatch.setattr("rebuilder.publish.pages.ROWS", 4)
    render_all(results)
    assert sorted(path.name for path in results.glob("index*.html")) == ["index-2.html", "index-3.html", "index.html"]
    assert policy_for("index-2.html") == PAGE_POLICY
    monkeypatch.undo()
    render_all(results)
    assert [path.name for path in results.glob("index*.html")] == ["index.html"]


def test_results_that_are_not_there_cannot_be_rendered(tmp_path: Path) -> None:
    """A wrong path is a clear error."""
    with pytest.raises(StorageFailure, match=r"dossier\.json: No such file"):
        render_result(tmp_path, PurePosixPath("deb/x/1/amd64/y"))
