"""What a suite offers, as far as scheduling must know it: which releases, with which bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from rebuilder.model.digest import Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferedFile:
    """One artifact that a suite offers."""

    filename: str
    digest: Digest
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What a suite offers of one version of one source, for one architecture (`all` is one)."""

    name: str
    version: str
    """Of the source."""
    architecture: str
    target: str
    """Canonical package URL of the source: offers of several architectures share it."""
    files: tuple[OfferedFile, ...]
    """By name; never empty."""

    @property
    def size_bytes(self) -> int:
        """Of all files."""
        return sum(file.size_bytes for file in self.files)

    @property
    def digest(self) -> Digest:
        """Of the list of files: another one means that files came, went, or have other bytes."""
        listing = "".join(f"{file.filename} {file.digest.hex}\n" for file in self.files)
        return Digest(hashlib.sha256(listing.encode()).hexdigest())


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """A suite at one moment, by itself: without the suites that its users have beside it. Signatures are verified."""

    ecosystem: str
    distribution: str
    suite: str
    is_security: bool
    """Whether what it offers are security updates."""
    architectures: tuple[str, ...]
    """Those that were asked for; its offers have no other."""
    index: Digest
    """Of everything that the offers are read from, as it was signed for: the same digest, the same offers."""
    archive: str
    date: datetime
    """When the suite was signed."""
    document: Digest
    """Blob of the signed index."""
    read: Callable[[], Iterator[Offer]]
    """Fetch and read the offers; dear, and not needed when `index` is known. Raises errors of ours only."""
