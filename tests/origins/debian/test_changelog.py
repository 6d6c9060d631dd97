"""The changelog entry of a binary-only rebuild, found in its reference .debs."""

from __future__ import annotations

from pathlib import Path

import pytest

from rebuilder.errors import HostileInput, SourceUnavailable
from rebuilder.origins.debian.changelog import Reference, find_entry, parse_entry
from tests.archive.frozen import FrozenArchive

ENTRY = (
    b"hello (1.0-1+b1) sid; urgency=low, binary-only=yes\n\n  * Rebuild.\n\n"
    b" -- A Builder <builder@archive.test>  Thu, 09 Oct 2025 08:53:20 +0000\n"
)


def _reference(archive: FrozenArchive, package: str, filename: str) -> Reference:
    return Reference(package=package, architecture="amd64", path=archive.find(filename))


def test_the_entry_is_taken_from_the_reference(standard_archive: FrozenArchive) -> None:
    """The .deb of a binNMU carries the entry that its buildd put on top, and it is returned ready to be put there."""
    reference = _reference(standard_archive, "rebuilt", "rebuilt_1.0-1+b2_amd64.deb")
    entry = find_entry([reference], source="rebuilt", version="1.0-1+b2")
    assert entry.startswith("rebuilt (1.0-1+b2) trixie; urgency=medium, binary-only=yes\n\n  * Binary-only")
    assert entry.endswith(" +0000\n\n")


def test_a_package_without_the_file_is_passed_over(standard_archive: FrozenArchive) -> None:
    """Where one package's documentation is a link, another package of the same build has the entry."""
    references = [
        _reference(standard_archive, "epochal", "epochal_2.0-1_amd64.deb"),
        _reference(standard_archive, "rebuilt", "rebuilt_1.0-1+b2_amd64.deb"),
    ]
    assert "+b2" in find_entry(references, source="rebuilt", version="1.0-1+b2")


def test_no_reference_with_the_entry_is_a_source_that_cannot_be_had(standard_archive: FrozenArchive) -> None:
    """Without the entry nothing is built: it is part of the source of that build."""
    reference = _reference(standard_archive, "epochal", "epochal_2.0-1_amd64.deb")
    with pytest.raises(SourceUnavailable, match=r"rebuilt 1.0-1\+b2: no reference has the changelog entry"):
        find_entry([reference], source="rebuilt", version="1.0-1+b2")
    with pytest.raises(SourceUnavailable, match="there is no reference"):
        find_entry([], source="rebuilt", version="1.0-1+b2")


def test_a_file_that_is_no_deb_is_no_reference(tmp_path: Path) -> None:
    """Hostile bytes end as an entry that cannot be had, not as a traceback."""
    path = tmp_path / "evil.deb"
    path.write_bytes(b"!<arch>\n" + b"\xff" * 500)
    with pytest.raises(SourceUnavailable):
        find_entry([Reference(package="x1", architecture="amd64", path=path)], source="x1", version="1+b1")


def test_only_the_first_entry_is_returned() -> None:
    """Whatever follows the trailer is not part of the entry."""
    text = parse_entry(ENTRY + b"\nhello (1.0-1) sid; urgency=low\n", source="hello", version="1.0-1+b1")
    assert text.encode() == ENTRY + b"\n"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (ENTRY.replace(b"1.0-1+b1", b"1.0-1+b2"), r"expected the changelog entry of hello 1.0-1\+b1"),
        (ENTRY.replace(b"hello", b"other"), r"found other 1.0-1\+b1"),
        (ENTRY.replace(b", binary-only=yes", b""), "not one of a binary-only rebuild"),
        (ENTRY.replace(b" -- A", b" - A"), "not a changelog entry"),
        (ENTRY.replace(b"* Rebuild.", b"* " + b"x" * 40000), "not a changelog entry"),
        (b"\xff\xfe", "not UTF-8"),
        (b"", "not a changelog entry"),
    ],
)
def test_an_entry_that_is_not_the_one_is_refused(content: bytes, problem: str) -> None:
    """Another version, another source, no binNMU at all, or text that is no changelog."""
    with pytest.raises(HostileInput, match=problem):
        parse_entry(content, source="hello", version="1.0-1+b1")
