"""A whole suite in one pass: what it offers, and what no honest index says."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from rebuilder.errors import HostileInput, UnknownTarget, UsageError
from rebuilder.origins.debian.catalogue import DebianCatalogues, offers, purl
from rebuilder.origins.debian.target import DebianTarget, suite_named
from rebuilder.store.blobs import LocalBlobs
from rebuilder.world.http import HttpFetcher
from tests.archive.frozen import FrozenArchive
from tests.origins.debian.paragraphs import index

BOTH = ("amd64", "all")
PARAGRAPH = """\
Package: demo
Source: {source}
Version: 1.0-1+b1
Architecture: amd64
Filename: pool/main/d/demo/{filename}
Size: 7
SHA256: {digest}
"""


@pytest.fixture
def catalogues(standard_archive: FrozenArchive, tmp_path: Path) -> DebianCatalogues:
    """Look at a frozen archive, as a fresh process would."""
    settings = standard_archive.settings(tmp_path / "home")
    return DebianCatalogues(settings, HttpFetcher(), LocalBlobs(tmp_path / "home" / "blobs"))


def now() -> datetime:
    """Say when it is."""
    return datetime.now(UTC)


def paragraph(source: str = "demo (1.0-1)", filename: str = "demo_1.0-1+b1_amd64.deb", digest: str = "0" * 64) -> str:
    """Write one paragraph of an index."""
    return PARAGRAPH.format(source=source, filename=filename, digest=digest)


def test_a_suite_is_grouped_by_source_version_and_architecture(catalogues: DebianCatalogues) -> None:
    """BinNMUs belong to their source's version, epochs to versions, arch:all apart; the security suite is not in it."""
    found = catalogues.open("deb:trixie", now(), BOTH)
    assert (found.suite, found.is_security, found.architectures) == ("trixie", False, ("all", "amd64"))
    by_key = {(each.name, each.version, each.architecture): each for each in found.read()}
    assert [file.filename for file in by_key["rebuilt", "1.0-1", "amd64"].files] == [
        "rebuilt_1.0-1+b1_amd64.deb",
        "rebuilt_1.0-1+b2_amd64.deb",
    ]
    assert [file.filename for file in by_key["greeter", "1.0-1", "all"].files] == ["greeter-doc_1.0-1_all.deb"]
    assert by_key["epochal", "1:2.0-1", "amd64"].target == "pkg:deb/debian/epochal@1:2.0-1?arch=source&distro=trixie"
    assert ("patched", "2.0-1+deb13u1", "amd64") not in by_key
    assert ("orphan", "3.0-1", "amd64") in by_key


def test_a_security_suite_is_one(catalogues: DebianCatalogues) -> None:
    """By its name; and it offers its own alone."""
    found = catalogues.open("deb:trixie-security", now(), BOTH)
    assert found.is_security
    assert {each.name for each in found.read()} == {"patched", "twice"}


def test_the_same_index_is_known_by_its_digest(catalogues: DebianCatalogues) -> None:
    """A new signature over the same indices is the same index; other indices are another."""
    first = catalogues.open("deb:trixie", now(), BOTH)
    assert catalogues.open("deb:trixie", now(), BOTH).index == first.index
    assert catalogues.open("deb:trixie-security", now(), BOTH).index != first.index


def test_only_what_is_asked_for_is_offered(catalogues: DebianCatalogues) -> None:
    """One architecture of two; a third is refused, and so is none."""
    assert {each.architecture for each in catalogues.open("deb:trixie", now(), ("all",)).read()} == {"all"}
    with pytest.raises(UsageError, match="expected the architectures amd64 and all, found arm64"):
        catalogues.open("deb:trixie", now(), ("arm64",))
    with pytest.raises(UsageError, match="found none"):
        catalogues.open("deb:trixie", now(), ())


def test_an_unknown_suite_is_named(catalogues: DebianCatalogues) -> None:
    """By what the mirrors lack."""
    with pytest.raises(UnknownTarget, match="no configured mirror of debian has a suite forky"):
        catalogues.open("deb:forky", now(), BOTH)


@pytest.mark.parametrize("text", ["trixie", "deb:", "deb:../etc", "pkg:deb/debian/x", "deb:trixie/cjson"])
def test_what_is_no_suite_is_refused(text: str) -> None:
    """A suite is named with its ecosystem, and nothing else."""
    with pytest.raises(UsageError, match="not a suite of Debian"):
        suite_named(text)


@pytest.mark.parametrize(
    ("spoilt", "message"),
    [
        (paragraph(source="../demo (1.0-1)"), "not a package name"),
        (paragraph(source="demo (1.0-1"), "unreadable Source field"),
        (paragraph(source="demo (1 )"), "unreadable Source field"),
        (paragraph(filename="de mo.deb"), "unreadable Filename or Size"),
        (paragraph(digest="0" * 63), "not a SHA-256"),
        (paragraph().replace("Architecture: amd64", "Architecture: ../x"), "not an architecture"),
        (paragraph().replace("Size: 7\n", ""), "has no field Size"),
        (paragraph().replace("Size: 7", "Size: -7"), "unreadable Filename or Size"),
        (paragraph().replace("Version: 1.0-1+b1", "Version: 1.0/1"), "not a package version"),
        (paragraph() + "\n" + paragraph(digest="1" * 64), "name different bytes for demo_1.0-1"),
    ],
)
def test_a_hostile_index_is_refused(spoilt: str, message: str, tmp_path: Path) -> None:
    """Fields that leave a directory, name two things at once, or are not there."""
    with pytest.raises(HostileInput, match=message):
        list(offers((index(tmp_path, spoilt),), "trixie", BOTH))


def test_a_paragraph_that_is_listed_twice_counts_once(tmp_path: Path) -> None:
    """With the same bytes; and the last paragraph needs no empty line after it."""
    (found,) = offers((index(tmp_path, paragraph(), paragraph()),), "trixie", BOTH)
    assert (found.name, found.version, len(found.files), found.size_bytes) == ("demo", "1.0-1", 1, 7)


@pytest.mark.parametrize("version", ["1.0-1", "1:2.0~rc1+dfsg-3+b2", "2~a+b~c", "0:1-1"])
@pytest.mark.parametrize("name", ["demo", "libstdc++6", "a.b-c+"])
def test_targets_are_canonical(name: str, version: str) -> None:
    """Letter for letter what a person's target becomes."""
    assert purl("trixie", name, version) == DebianTarget(suite="trixie", name=name, version=version).purl
