"""Searching verified Packages and Sources indices without reading them into memory.

An index is deb822 paragraphs parted by empty lines (Debian policy 5.1; the fields are those of the archive's repository
format). A whole suite has 70,000 of them: they are scanned as bytes in windows, and only the few that match are parsed.
The files given here have been hashed against a signed InRelease before (see `archive`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from pathlib import Path

from rebuilder.errors import HostileInput
from rebuilder.model.digest import Digest
from rebuilder.origins.debian.stanza import BinaryStanza, SourceStanza, parse_binary, parse_source
from rebuilder.world.files import storage_errors

_WINDOW_BYTES = 1024**2
_STANZA_LIMIT_BYTES = 8 * 1024**2
_ANSWERS_KEPT = 256  # an index is named by its content, so that an answer stays right


class IndexKind(StrEnum):
    """What an index lists."""

    PACKAGES = "Packages"
    SOURCES = "Sources"


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexFile:
    """One verified index on this disk."""

    kind: IndexKind
    path: Path
    """The uncompressed index, named by its digest; hashed in this run."""
    digest: Digest
    """Of the uncompressed bytes, as the InRelease names it."""
    document: Digest
    """Of the file as it was fetched, usually compressed: the blob that documents refer to."""
    archive: str
    suite: str
    """The suite that was asked, for instance `trixie-security`."""
    component: str
    architecture: str | None
    """None for a source index."""

    @property
    def name(self) -> str:
        """How evidence names it, for instance `trixie main/binary-amd64/Packages`."""
        directory = f"binary-{self.architecture}" if self.architecture else "source"
        return f"{self.suite} {self.component}/{directory}/{self.kind}"


def named(indices: Iterable[IndexFile]) -> list[list[str]]:
    """Name indices in a cache key, in their order: by content, and by the archive that an answer speaks of."""
    return [[str(index.digest), index.archive] for index in indices]


@lru_cache(maxsize=_ANSWERS_KEPT)
def find_sources(index: IndexFile, name: str) -> tuple[SourceStanza, ...]:
    """Every version of a source package that the index lists."""
    needle = f"\nPackage: {name}\n".encode()
    found = (parse_source(stanza, index.archive, index.suite) for stanza in _search(index.path, (needle,)))
    return tuple(stanza for stanza in found if stanza.name == name)


@lru_cache(maxsize=_ANSWERS_KEPT)
def find_binaries_of(index: IndexFile, source: str) -> tuple[BinaryStanza, ...]:
    """Every binary package, of any version, that the index says was built from a source package."""
    needles = tuple(
        text.encode() for text in (f"\nPackage: {source}\n", f"\nSource: {source}\n", f"\nSource: {source} (")
    )
    found = (parse_binary(stanza, index.archive, index.suite) for stanza in _search(index.path, needles))
    return tuple(stanza for stanza in found if stanza.source == source)


def find_packages(index: IndexFile, names: Collection[str]) -> tuple[BinaryStanza, ...]:
    """Every version of the named binary packages, in one pass."""
    wanted = frozenset(name.encode() for name in names)
    return tuple(parse_binary(stanza, index.archive, index.suite) for stanza in _named(index.path, wanted.__contains__))


def windows(path: Path) -> Iterator[bytes]:
    """Read an index, whole stanzas at a time: each window begins with a line break and ends with an empty line."""
    rest = b"\n"
    with storage_errors(path), path.open("rb") as stream:
        while block := stream.read(_WINDOW_BYTES):
            rest += block
            cut = rest.rfind(b"\n\n")
            if cut > 0:
                yield rest[: cut + 2]
                rest = b"\n" + rest[cut + 2 :]
            elif len(rest) > _STANZA_LIMIT_BYTES:
                raise HostileInput(f"{path.name}: a stanza of more than {_STANZA_LIMIT_BYTES} bytes in a package index")
    if rest.strip(b"\n"):
        yield rest + b"\n\n"


def package_names(index: IndexFile) -> frozenset[str]:
    """Return the names in the index's `Package` fields; for a hint when a name is not found."""
    names: set[bytes] = set()
    for window in windows(index.path):
        names.update(name for name, _ in _package_fields(window))
    return frozenset(name.decode("utf-8", "replace") for name in names)


def _search(path: Path, needles: tuple[bytes, ...]) -> Iterator[bytes]:
    """Each stanza that contains one of the lines, once, in the order of the file."""
    for window in windows(path):
        starts = {_start_of(window, hit) for needle in needles for hit in _hits(window, needle)}
        for start in sorted(starts):
            yield window[start : window.index(b"\n\n", start)]


def _named(path: Path, is_wanted: Callable[[bytes], bool]) -> Iterator[bytes]:
    for window in windows(path):
        for name, hit in _package_fields(window):
            if is_wanted(name):
                start = _start_of(window, hit)
                yield window[start : window.index(b"\n\n", start)]


def _package_fields(window: bytes) -> Iterator[tuple[bytes, int]]:
    for hit in _hits(window, b"\nPackage: "):
        begin = hit + len(b"\nPackage: ")
        yield window[begin : window.index(b"\n", begin)], hit


def _hits(window: bytes, needle: bytes) -> Iterator[int]:
    hit = window.find(needle)
    while hit != -1:
        yield hit
        hit = window.find(needle, hit + 1)


def _start_of(window: bytes, hit: int) -> int:
    """Where the stanza begins in which a line break at `hit` precedes the line that was found."""
    gap = window.rfind(b"\n\n", 0, hit + 1)
    return 1 if gap == -1 else gap + 2
