"""A whole suite in one pass: every source version that has binaries in it, with the digests of their files.

`listing` reads the indices. What is built is resolved again, strictly, when its turn comes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from datetime import datetime

from rebuilder.config import Settings
from rebuilder.errors import HostileInput, UnknownTarget, UsageError
from rebuilder.model.catalogue import Catalogue, Offer, OfferedFile
from rebuilder.model.digest import Digest
from rebuilder.origins.debian import indices
from rebuilder.origins.debian.index import IndexFile, IndexKind
from rebuilder.origins.debian.indices import IndexReader, Wanted
from rebuilder.origins.debian.listing import Listed, listed
from rebuilder.origins.debian.mirrors import archives_for
from rebuilder.origins.debian.suite import Opener, OpenSuite
from rebuilder.origins.debian.target import suite_named
from rebuilder.store.blobs import BlobStore
from rebuilder.world.http import Fetcher

_SECURITY = "-security"

Group = tuple[str, str, str]
"""Source, its version, architecture of the binaries."""


class DebianCatalogues:
    """Suites of Debian's archives, each by itself: without the suites that its users have beside it."""

    def __init__(self, settings: Settings, fetcher: Fetcher, blobs: BlobStore, *, architecture: str = "amd64") -> None:
        self._settings = settings
        self._opener = Opener(settings, fetcher, blobs)
        self._reader = IndexReader(settings, fetcher, blobs)
        self._architecture = architecture

    def verify_planned(self, suite: str, architectures: tuple[str, ...]) -> None:
        """See `Catalogues.verify_planned`."""
        strange = [name for name in architectures if name not in {self._architecture, "all"}]
        if strange or not architectures:
            found = ", ".join(strange) or "none"
            raise UsageError(
                f"{suite}: expected the architectures {self._architecture} and all, found {found}",
                hint=f"rebuilds are planned for {self._architecture} and all alone so far",
            )

    def open(self, suite: str, now: datetime, architectures: tuple[str, ...]) -> Catalogue:
        """See `Catalogues.open`."""
        self.verify_planned(suite, architectures)
        part = archives_for(suite_named(suite), self._settings.debian)[0]
        return _catalogue(self._opener.open(part, now), architectures, self._architecture, self._reader)


def offers(files: Iterable[IndexFile], suite: str, architectures: Iterable[str]) -> Iterator[Offer]:
    """Group what the indices list; raise HostileInput for what no honest index says."""
    groups: dict[Group, dict[str, OfferedFile]] = {}
    chosen = frozenset(architectures)
    for file in files:
        for each in listed(file):
            if each[2] in chosen:
                _note(each, groups)
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


def _catalogue(opened: OpenSuite, architectures: tuple[str, ...], machine: str, reader: IndexReader) -> Catalogue:
    """Describe an opened suite; its indices are fetched when the offers are read.

    `machine` is the architecture whose indices are read; raise UnknownTarget for a suite without packages.
    """
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


def _note(listed: Listed, groups: dict[Group, dict[str, OfferedFile]]) -> None:
    source, version, architecture, filename, size, sha256 = listed
    try:
        file = OfferedFile(filename=filename, digest=Digest(sha256), size_bytes=int(size))
    except ValueError as error:
        raise HostileInput(f"{source} {version}: {error}") from error
    found = groups.setdefault((source, version, sys.intern(architecture)), {})
    if found.setdefault(filename, file) != file:
        raise HostileInput(f"two signed indices name different bytes for {filename}")


def _identity(wanted: tuple[Wanted, ...]) -> Digest:
    """Name everything that the offers are read from: places and digests, as the signed InRelease has them."""
    entries = [(each.path, each.suite.release.entries[each.path].digest.hex) for each in wanted]
    return Digest.of("".join(f"{path} {digest}\n" for path, digest in sorted(entries)).encode())
