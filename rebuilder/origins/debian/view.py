"""What a user of a suite is offered: the verified indices of the suite, its updates and its security suite."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from rebuilder.model.digest import Digest
from rebuilder.model.evidence import Evidence
from rebuilder.model.plan import Package
from rebuilder.origins.debian.index import (
    IndexFile,
    IndexKind,
    find_binaries_of,
    find_packages,
    find_sources,
    package_names,
)
from rebuilder.origins.debian.stanza import BinaryStanza, SourceStanza


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteView:
    """A suite family at one moment. Every index in it was hashed against a signed InRelease in this run."""

    suite: str
    """The suite as it was asked, for instance `trixie`."""
    codename: str
    """As the signed InRelease says."""
    architecture: str
    indices: tuple[IndexFile, ...]
    evidence: tuple[Evidence, ...]
    """One piece an InRelease and one an index."""
    documents: tuple[Digest, ...]
    """Blobs of the signed InRelease files and of the indices as fetched."""
    date: datetime
    """The newest Date of the signed InRelease files: what an image's epoch is taken from."""

    @property
    def epoch(self) -> int:
        """`date` in seconds since 1970 UTC."""
        return int(self.date.timestamp())

    def packages_files(self) -> tuple[IndexFile, ...]:
        """Return the Packages indices: each with `path`, `archive` (label), `suite`, `component`."""
        return tuple(index for index in self.indices if index.kind is IndexKind.PACKAGES)

    def sources_files(self) -> tuple[IndexFile, ...]:
        """Return the Sources indices."""
        return tuple(index for index in self.indices if index.kind is IndexKind.SOURCES)

    def evidence_of(self, index: IndexFile) -> Evidence:
        """Return the piece of evidence that says how an index is known."""
        subject = f"{index.archive} {index.name}"
        return next(piece for piece in self.evidence if piece.subject == subject)

    def sources_named(self, name: str) -> tuple[SourceStanza, ...]:
        """Find every version of a source package, as often as it is listed."""
        return tuple(stanza for index in self.sources_files() for stanza in find_sources(index, name))

    def binaries_of(self, source: str) -> tuple[BinaryStanza, ...]:
        """Find every binary package built from any version of a source, as often as it is listed."""
        return tuple(stanza for index in self.packages_files() for stanza in find_binaries_of(index, source))

    def binaries_named(self, names: Collection[str]) -> tuple[BinaryStanza, ...]:
        """Find every version of the named binary packages, with the sources they were built from."""
        return tuple(stanza for index in self.packages_files() for stanza in find_packages(index, names))

    def find_packages(self, names: Collection[str]) -> tuple[Package, ...]:
        """Find every version of the named binary packages, in one pass over each index."""
        return tuple(stanza.package for stanza in self.binaries_named(names))

    def find_package(self, name: str, version: str, architecture: str) -> Package | None:
        """Find one binary package, or None; `architecture` is matched exactly, or by an arch:all package."""
        for package in self.find_packages((name,)):
            if package.version == version and package.architecture in {architecture, "all"}:
                return package
        return None

    def package_by_file(self, name: str, version: str, architecture: str) -> Package | None:
        """Find one binary package by the parts of its .deb's file name, where a version has lost its epoch."""
        filename = f"{name}_{version}_{architecture}.deb"
        return next((package for package in self.find_packages((name,)) if package.filename == filename), None)

    def names(self, kind: IndexKind) -> frozenset[str]:
        """Collect all names that the indices of one kind list; dear, for hints only."""
        return frozenset().union(*(package_names(index) for index in self.indices if index.kind is kind))
