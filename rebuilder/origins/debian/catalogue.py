"""A whole suite in one pass: every source version that has binaries in it, with the digests of their files.

A main suite lists 70,000 binary packages in 60 MB: its stanzas are cut as bytes and seven fields are taken from each,
under the same rules as `stanza.parse_binary`. What is built is resolved again, strictly, when its turn comes.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator

from rebuilder.errors import HostileInput, UnknownTarget, UsageError
from rebuilder.model.catalogue import Catalogue, Offer, OfferedFile
from rebuilder.model.digest import Digest
from rebuilder.origins.debian import indices
from rebuilder.origins.debian.index import IndexFile, IndexKind, stanzas
from rebuilder.origins.debian.indices import IndexReader, Wanted
from rebuilder.origins.debian.stanza import ARCHITECTURE, check_name, check_version
from rebuilder.origins.debian.suite import OpenSuite

_FILE_NAME = re.compile(r"[A-Za-z0-9+._~:%@^=,-]{1,512}\Z")
_SOURCE = re.compile(r"(?P<name>[^ ]+)(?: \((?P<version>[^ ()]+)\))?\Z")
_SIZE = re.compile(r"[0-9]{1,15}\Z")
_SECURITY = "-security"
_NEEDED = (b"Package", b"Version", b"Architecture", b"Filename", b"Size", b"SHA256")
_FIELD = re.compile(rb"\n(Package|Version|Architecture|Filename|Size|SHA256|Source): ([^\n]*)")

Group = tuple[str, str, str]
"""Source, its version, architecture of the binaries."""


def catalogue(opened: OpenSuite, architectures: tuple[str, ...], machine: str, reader: IndexReader) -> Catalogue:
    """Describe an opened suite; its indices are fetched when the offers are read.

    `machine` is the architecture whose indices are read; raise UsageError for one that is neither that nor `all`,
    UnknownTarget for a suite without packages.
    """
    strange = [name for name in architectures if name not in {machine, "all"}]
    if strange or not architectures:
        raise UsageError(
            f"expected the architectures {machine} and all, found {', '.join(strange) or 'none'}",
            hint=f"this machine plans rebuilds for {machine}",
        )
    wanted = tuple(each for each in indices.wanted(opened, machine) if each.kind is IndexKind.PACKAGES)
    if not wanted:
        raise UnknownTarget(
            f"the suite {opened.part.suite} has no packages for {machine} in the configured components",
            hint="which components the archives' entries name decides",
        )
    return Catalogue(
        ecosystem="deb",
        distribution="debian",
        suite=opened.part.suite,
        is_security=opened.part.suite.endswith(_SECURITY),
        architectures=tuple(sorted(set(architectures))),
        index=_identity(wanted),
        archive=opened.part.label,
        date=opened.release.date,
        document=opened.document,
        read=lambda: offers(map(reader.read, wanted), opened.part.suite, architectures),
    )


def offers(files: Iterable[IndexFile], suite: str, architectures: Iterable[str]) -> Iterator[Offer]:
    """Group what the indices list; raise HostileInput for what no honest index says."""
    groups: dict[Group, dict[str, OfferedFile]] = {}
    chosen = frozenset(architectures)
    for file in files:
        for stanza in stanzas(file):
            _note(stanza, chosen, groups)
    while groups:  # each leaves the one collection as it enters another
        (name, version, architecture), found = groups.popitem()
        yield Offer(
            name=name,
            version=version,
            architecture=architecture,
            target=purl(suite, name, version),
            files=tuple(found[filename] for filename in sorted(found)),
        )


def purl(suite: str, name: str, version: str) -> str:
    """Write `DebianTarget.purl` of a checked source: of all that it may hold, `+` alone is quoted."""
    return f"pkg:deb/debian/{name}@{version}?arch=source&distro={suite}".replace("+", "%2B")


def _note(stanza: bytes, chosen: frozenset[str], groups: dict[Group, dict[str, OfferedFile]]) -> None:
    name, version, architecture, location, size, sha256, source_field = _fields(stanza)
    if architecture not in chosen:
        if not ARCHITECTURE.match(architecture):
            raise HostileInput(f"not an architecture: {architecture[:80]!r}")
        return
    check_name(name)
    check_version(version)
    source, source_version = _source(source_field, name, version)
    filename = location.rpartition("/")[2]
    if not _FILE_NAME.match(filename) or not _SIZE.match(size):
        raise HostileInput(f"{name} {version}: unreadable Filename or Size in a package index")
    try:
        digest = Digest(sha256)
    except ValueError as error:
        raise HostileInput(f"{name} {version}: {error}") from error
    file = OfferedFile(filename=filename, digest=digest, size_bytes=int(size))
    found = groups.setdefault((source, source_version, sys.intern(architecture)), {})
    if found.setdefault(filename, file) != file:
        raise HostileInput(f"two signed indices name different bytes for {filename}")


def _source(text: str, name: str, version: str) -> tuple[str, str]:
    if not text:
        return name, version
    match = _SOURCE.match(text)
    if match is None:
        raise HostileInput(f"{name} {version}: unreadable Source field {text[:80]!r}")
    return check_name(match["name"]), check_version(match["version"] or version)


def _fields(stanza: bytes) -> list[str]:
    """Return the values of `_NEEDED` and Source, each of one line and named once; Source alone may be missing."""
    found = _FIELD.findall(stanza)
    values: dict[bytes, bytes] = dict(found)
    if len(values) != len(found):
        raise HostileInput(f"a paragraph of a package index names a field twice ({stanza[:60]!r})")
    lines = [values.get(name, b"").strip(b" ") for name in (*_NEEDED, b"Source")]
    if not all(lines[:-1]):
        missing = _NEEDED[lines.index(b"")].decode()
        raise HostileInput(f"a paragraph of a package index has no field {missing} ({stanza[:60]!r})")
    try:
        return b"\n".join(lines).decode("ascii").split("\n")
    except UnicodeDecodeError as error:
        raise HostileInput(f"a paragraph of a package index is unreadable: {error}") from error


def _identity(wanted: tuple[Wanted, ...]) -> Digest:
    """Name everything that the offers are read from: places and digests, as the signed InRelease has them."""
    entries = [(each.path, each.suite.release.entries[each.path].digest.hex) for each in wanted]
    return Digest.of("".join(f"{path} {digest}\n" for path, digest in sorted(entries)).encode())
