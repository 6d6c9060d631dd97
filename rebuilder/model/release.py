"""What was published: a release with its artifacts, its sources and the claims about them."""

from __future__ import annotations

from dataclasses import dataclass

from rebuilder.model.digest import Digest
from rebuilder.model.evidence import Evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class FileReference:
    """A file that somebody signed for: its name, size and digest, and where it may be fetched."""

    filename: str
    """A plain file name: no directory, no NUL, never `.` or `..`."""
    size_bytes: int
    digest: Digest
    location: str | None = None
    """Path relative to an archive's root (`pool/main/…`); never a host name."""
    archive: str | None = None
    """Which configured archive serves `location`: its label, for instance `debian-security`."""
    also: tuple[tuple[str, str], ...] = ()
    """Further places of the same bytes, as (archive label, path): signed indices list the digest there too."""

    def __post_init__(self) -> None:
        if not self.filename or "/" in self.filename or "\0" in self.filename or self.filename in {".", ".."}:
            raise ValueError(f"not a plain file name: {self.filename[:80]!r}")
        if self.size_bytes < 0:
            raise ValueError(f"negative size of {self.filename}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """One published file of a release, as its reference says it should be."""

    name: str
    """Package name of the artifact (a binary package's name in Debian)."""
    version: str
    architecture: str
    filename: str
    reference: FileReference | None
    """None when nothing was published to compare with: the artifact is listed, cause `no-reference`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """All artifacts of one version, with their sources; what `resolve` answers.

    Nothing in it is trusted until `authenticate` has judged the evidence.
    """

    target: str
    """Canonical package URL of what was asked."""
    ecosystem: str
    """`deb`, `pypi`, …: the purl type."""
    distribution: str
    """`debian`, or the ecosystem's name where it has none."""
    suite: str
    name: str
    version: str
    artifacts: tuple[Artifact, ...]
    sources: tuple[FileReference, ...]
    evidence: tuple[Evidence, ...]
    indices: tuple[Digest, ...] = ()
    """Digests of the signed documents and indices this was read from, kept once as shared blobs."""
    buildinfo: Digest | None = None
    """Blob of the .buildinfo that defines the environment, if one was given or found."""
    aside: tuple[str, ...] = ()
    """File names of further artifacts of the release, which are not asked about: no verdict, and no extra output."""

    @property
    def is_local(self) -> bool:
        """Whether a file that somebody holds stands in for a published one."""
        references = (artifact.reference for artifact in self.artifacts)
        return any(reference is not None and reference.location is None for reference in references)


def is_aside(filename: str) -> bool:
    """Whether an output is not compared unless the release names it: the build's papers, debug symbols, installers."""
    return filename.endswith((".buildinfo", ".changes", ".udeb", ".ddeb")) or "-dbgsym_" in filename
