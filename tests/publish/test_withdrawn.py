"""What is shown of a withdrawn result: everywhere the word and the reason, nowhere its verdict as an answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from rebuilder.errors import HostileInput, StorageFailure
from rebuilder.model import codec
from rebuilder.model.dossier import Dossier
from rebuilder.model.verdict import Verdict
from rebuilder.model.withdrawal import FILE_NAME, Successor, Withdrawal
from rebuilder.publish import scan
from rebuilder.publish.index import Index
from rebuilder.publish.layout import package_path, result_path
from rebuilder.publish.render import render_all
from rebuilder.publish.tree import publish
from rebuilder.publish.withdrawing import publish_withdrawal
from rebuilder.store.blobs import LocalBlobs
from tests.attest.factory import ATTESTER, OWNER
from tests.attest.withdrawing import signed_withdrawal
from tests.publish import factory

REASON = "the builder's <disk> lied & nobody noticed"


def files(root: Path) -> dict[str, bytes]:
    """Read everything that is published."""
    found = (path for path in root.rglob("*") if path.is_file() and path.name != ".lock")
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in found}


def put(root: Path, blobs: LocalBlobs, dossier: Dossier, ordinal: int = 0) -> scan.Result:
    """Publish a dossier and read it back."""
    publish(factory.publication(dossier, ordinal=ordinal, blobs=blobs), root, blobs)
    return scan.load(root, result_path(dossier, factory.rebuild_id(dossier, ordinal)))


def withdrawal_of(result: scan.Result, successor: scan.Result | None = None, reason: str = REASON) -> Withdrawal:
    """Say of a result that it is withdrawn, two days after its conclusion."""
    return Withdrawal(
        rebuild_id=result.rebuild_id,
        dossier=result.digest,
        attester=ATTESTER.public_key.keyid,
        reason=reason,
        superseded_by=Successor(rebuild_id=successor.rebuild_id, dossier=successor.digest) if successor else None,
        withdrawn_at=result.dossier.concluded_at + timedelta(days=2),
    )


def withdraw(root: Path, result: scan.Result, successor: scan.Result | None = None) -> Withdrawal:
    """Withdraw a published result."""
    withdrawal = withdrawal_of(result, successor)
    publish_withdrawal(root, result.path, signed_withdrawal(result.dossier, withdrawal))
    return withdrawal


def latest(root: Path, result: scan.Result) -> dict[str, Any]:
    """Read the pointer beside a result."""
    plain: dict[str, Any] = json.loads((root / result.path.parent / "latest.json").read_bytes())
    return plain


def badge(root: Path, dossier: Dossier) -> Any:
    """Read the word on a package's badge."""
    return json.loads((root / package_path(dossier) / "badge.json").read_bytes())["message"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Name an empty results directory."""
    return tmp_path / "results"


def test_everything_says_withdrawn_with_the_reason(root: Path, blobs: LocalBlobs) -> None:
    """Pointer, badges, lists, look-up by digest, feed and pages; and what was published before is as it was."""
    result = put(root, blobs, factory.dossier())
    before = {name: data for name, data in files(root).items() if f"{result.path}/" in name}
    withdrawal = withdraw(root, result)
    after = files(root)
    assert [name for name in before if after[name] != before[name]] == [f"{result.path}/index.html"]
    pointer = latest(root, result)
    assert (pointer["verdict"], pointer["reason"], pointer["causes"]) == ("undecided", REASON, [])
    assert (pointer["withdrawn"]["verdict"], pointer["withdrawn"]["reason"]) == ("reproduced", REASON)
    package = root / package_path(result.dossier)
    for directory in (package, root / result.path.parent.parent):
        told = json.loads((directory / "badge.json").read_bytes())
        assert (told["message"], told["isError"]) == ("withdrawn", False)
        assert b"independent rebuild: withdrawn" in (directory / "badge.svg").read_bytes()
    for listed in (root / "index.json", package / "index.json"):
        index = codec.parse(listed.read_bytes(), Index)
        assert index.counts == {"reproduced": 0, "equivalent": 0, "undecided": 0, "different": 0, "withdrawn": 1}
        assert index.results[0].withdrawn is not None
        assert index.as_of == withdrawal.withdrawn_at
    for sightings in (root / "by-digest").rglob("*.json"):
        for each in json.loads(sightings.read_bytes())["results"]:
            assert (each["verdict"], each["withdrawn"]) == ("undecided", REASON)
    feed = (root / "feed.atom").read_text()
    assert "<title>withdrawn: cjson" in feed
    assert f"<updated>{codec.render_time(withdrawal.withdrawn_at)}</updated>" in feed
    assert '<category term="withdrawn"/>' in feed
    assert "Withdrawn; it said reproduced. the builder" in feed
    escaped = "the builder&#39;s &lt;disk&gt; lied &amp; nobody noticed"
    for page in (root / "index.html", package / "index.html", root / result.path / "index.html"):
        assert escaped in page.read_text()
        assert 'class="word">reproduced' not in page.read_text()
    text = (root / result.path / "index.html").read_text()
    assert "<title>withdrawn:" in text
    assert ATTESTER.public_key.keyid in text
    assert "in-toto-verify" not in text
    assert "do not use them" in text
    assert '<span class="verdict reproduced">' not in text
    assert text.count("It said: reproduced.") == 2


def test_pages_are_the_same_however_they_were_made(root: Path, blobs: LocalBlobs) -> None:
    """One withdrawal changes what a full rendering would give, byte for byte; the same again changes nothing."""
    for dossier, ordinal in factory.sample():
        last = put(root, blobs, dossier, ordinal)
    withdrawal = withdraw(root, last)
    before = files(root)
    publish_withdrawal(root, last.path, signed_withdrawal(last.dossier, withdrawal))
    assert files(root) == before
    render_all(root)
    assert files(root) == before


def test_without_a_withdrawal_lists_are_as_they_were(root: Path, blobs: LocalBlobs) -> None:
    """Readers of earlier lists find the members that they know, and no other."""
    result = put(root, blobs, factory.dossier())
    assert "withdrawn" not in latest(root, result)
    assert b"withdrawn" not in (root / "index.json").read_bytes()
    assert all(b"withdrawn" not in path.read_bytes() for path in (root / "by-digest").rglob("*.json"))


def test_the_same_result_published_again_is_still_a_no_op(root: Path, blobs: LocalBlobs) -> None:
    """A withdrawal does not make the documents of its result others; nor can one be published along with them."""
    result = put(root, blobs, factory.dossier())
    withdrawal = withdraw(root, result)
    before = files(root)
    publication = factory.publication(result.dossier, blobs=blobs)
    publish(publication, root, blobs)
    assert files(root) == before
    smuggled = {**publication.documents, FILE_NAME: signed_withdrawal(result.dossier, withdrawal)}
    with pytest.raises(HostileInput, match="a result is published first"):
        publish(replace(publication, documents=smuggled), root, blobs)


def test_a_newer_result_supersedes_as_usual(root: Path, blobs: LocalBlobs) -> None:
    """After the next verify badge and pointer tell its verdict; the withdrawn one is nobody's past."""
    first = put(root, blobs, factory.dossier(Verdict.REPRODUCED))
    withdraw(root, first)
    second = put(root, blobs, factory.dossier(Verdict.DIFFERENT, day=4), 1)
    assert badge(root, second.dossier) == "different"
    assert latest(root, second)["path"] == str(second.path)
    assert latest(root, second)["previous"] is None
    assert "Regression" not in (root / "index.html").read_text()
    page = (root / first.path / "index.html").read_text()
    assert "another result</a> for this version and architecture, which was not withdrawn" in page
    render_all(root)
    assert badge(root, second.dossier) == "different"


def test_a_withdrawn_newest_result_keeps_its_place(root: Path, blobs: LocalBlobs) -> None:
    """An earlier answer does not come back by itself: nobody said that it holds."""
    first = put(root, blobs, factory.dossier(Verdict.REPRODUCED))
    second = put(root, blobs, factory.dossier(Verdict.DIFFERENT, day=1), 1)
    withdraw(root, second)
    assert badge(root, first.dossier) == "withdrawn"
    assert "newer result" not in (root / first.path / "index.html").read_text()


def test_an_earlier_result_that_supersedes_takes_the_place(root: Path, blobs: LocalBlobs) -> None:
    """Withdrawn in favour of another: pointer and badge follow, and the page leads there."""
    first = put(root, blobs, factory.dossier(Verdict.REPRODUCED))
    second = put(root, blobs, factory.dossier(Verdict.DIFFERENT, day=1), 1)
    withdraw(root, second, first)
    assert badge(root, first.dossier) == "reproduced"
    assert latest(root, first)["path"] == str(first.path)
    page = (root / second.path / "index.html").read_text()
    assert f'Instead: <a href="../{first.rebuild_id}/index.html">' in page
    assert "another result" not in page
    withdraw(root, first)
    assert badge(root, first.dossier) == "withdrawn", "what was withdrawn takes nobody's place"


def test_two_withdrawals_in_favour_of_each_other_lead_nowhere(root: Path, blobs: LocalBlobs) -> None:
    """A circle ends."""
    first = put(root, blobs, factory.dossier(Verdict.REPRODUCED))
    second = put(root, blobs, factory.dossier(Verdict.DIFFERENT, day=1), 1)
    withdraw(root, second, first)
    withdraw(root, first, second)
    assert badge(root, first.dossier) == "withdrawn"


def test_attack_second_withdrawal_over_the_first(root: Path, blobs: LocalBlobs) -> None:
    """What was published is never edited, a withdrawal neither."""
    result = put(root, blobs, factory.dossier())
    withdraw(root, result)
    before = files(root)
    other = signed_withdrawal(result.dossier, withdrawal_of(result, reason="other words"))
    with pytest.raises(StorageFailure, match="was withdrawn already, by another document"):
        publish_withdrawal(root, result.path, other)
    assert files(root) == before


def test_attack_withdrawal_of_another_result(root: Path, blobs: LocalBlobs) -> None:
    """It is not published here; laid here by hand it makes the result unreadable, and is said to."""
    result = put(root, blobs, factory.dossier())
    other = put(root, blobs, factory.dossier(name="munge", version="0.5.16-1"))
    document = signed_withdrawal(other.dossier, withdrawal_of(other))
    before = files(root)
    with pytest.raises(HostileInput, match="not this one"):
        publish_withdrawal(root, result.path, document)
    assert files(root) == before
    for bad in (document, signed_withdrawal(result.dossier, withdrawal_of(result), OWNER), b"{}", b""):
        (root / result.path / FILE_NAME).write_bytes(bad)
        render_all(root)
        (entry,) = codec.parse((root / "index.json").read_bytes(), Index).unreadable
        assert entry.path == str(result.path)


class _Death(Exception):
    pass


def _deaths(steps: int) -> Iterator[int]:
    yield from range(steps)


def test_a_run_that_dies_leaves_the_old_or_the_new(tmp_path: Path, blobs: LocalBlobs) -> None:
    """Killed at each step in turn: documents are whole, and the next run brings the pages up to them."""
    whole: list[str] = []
    reference = tmp_path / "whole"
    result = put(reference, blobs, factory.dossier())
    document = signed_withdrawal(result.dossier, withdrawal_of(result))
    publish_withdrawal(reference, result.path, document, step=whole.append)
    expected = files(reference)
    for death in _deaths(len(whole)):
        root = tmp_path / str(death)
        put(root, blobs, factory.dossier())
        passed: list[str] = []

        def step(name: str, passed: list[str] = passed, death: int = death) -> None:
            passed.append(name)
            if len(passed) > death:
                raise _Death

        with pytest.raises(_Death):
            publish_withdrawal(root, PurePosixPath(result.path), document, step=step)
        scan.load(root, result.path)
        publish_withdrawal(root, result.path, document)
        assert files(root) == expected
