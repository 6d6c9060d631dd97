"""Packages indices of packages that are only paragraphs: enough to choose by, nothing to install."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from rebuilder.model.digest import Digest
from rebuilder.origins.debian.index import IndexFile, IndexKind
from rebuilder.origins.debian.view import SuiteView

DATE = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
BASE = (
    ("base-files", "13", "Essential: yes\nDepends: libbase"),
    ("libbase", "1.0-1", ""),
    ("apt", "3.0", "Depends: libbase (>= 1.0)"),
    ("build-essential", "12", "Depends: make"),
    ("make", "4.4-1", ""),
    ("fakeroot", "1.37-1", ""),
)
"""What a base image is made of: essential, apt, build-essential, fakeroot and what they depend on."""

Paragraph = tuple[str, str, str]
"""Name, version, further fields."""


def digest_of(name: str, version: str) -> Digest:
    """Return the digest that the index gives for a package's file."""
    return Digest(hashlib.sha256(f"{name} {version}".encode()).hexdigest())


def write_index(path: Path, packages: Iterable[Paragraph], *, archive: str = "debian") -> IndexFile:
    """Write a Packages file and say that it was verified."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(_paragraph(*package) for package in packages))
    return _verified(path, archive)


def index(path: Path, *paragraphs: str) -> IndexFile:
    """Write paragraphs into a directory as an index, and say that it was verified."""
    file = path / "Packages"
    file.write_text("\n".join(paragraphs))
    return _verified(file, "debian")


def _verified(path: Path, archive: str) -> IndexFile:
    digest = Digest.of(path.read_bytes())
    return IndexFile(
        kind=IndexKind.PACKAGES,
        path=path,
        digest=digest,
        document=digest,
        archive=archive,
        suite="trixie" if archive == "debian" else "trixie-security",
        component="main",
        architecture="amd64",
    )


def view_of(*indices: IndexFile, suite: str = "trixie") -> SuiteView:
    """Return a view of a suite with these indices."""
    return SuiteView(
        suite=suite, codename=suite, architecture="amd64", indices=indices, evidence=(), documents=(), date=DATE
    )


def _paragraph(name: str, version: str, more: str) -> str:
    filename = f"pool/main/{name[0]}/{name}/{name}_{version.rpartition(':')[2]}_amd64.deb"
    fields = [
        f"Package: {name}",
        f"Version: {version}",
        "Architecture: amd64",
        "Maintainer: Nobody <nobody@archive.test>",
        *more.splitlines(),
        f"Filename: {filename}",
        "Size: 1234",
        f"MD5sum: {hashlib.md5(b'never used', usedforsecurity=False).hexdigest()}",
        f"SHA256: {digest_of(name, version).hex}",
        "Description: a paragraph",
    ]
    return "\n".join(fields) + "\n"
