"""Bringing a suite's indices here: by hash, checked compressed and uncompressed, cached by content.

The cache is never believed: what is used was hashed in this run.
"""

from __future__ import annotations

import gzip
import hashlib
import lzma
import os
import tempfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rebuilder.config import Settings
from rebuilder.errors import DigestMismatch, HostileInput
from rebuilder.model.digest import Digest
from rebuilder.model.evidence import Evidence, Standing
from rebuilder.origins.debian.index import IndexFile, IndexKind
from rebuilder.origins.debian.release_file import IndexEntry
from rebuilder.origins.debian.suite import OpenSuite
from rebuilder.store.blobs import BlobStore
from rebuilder.world.files import digest_of, storage_errors
from rebuilder.world.http import Fetcher, NotFound

SCHEME = "apt-index"
INDEX_LIMIT_BYTES = 1024**3
"""No index of a distribution is longer, uncompressed; the main archive's are 60 MB."""

_BLOCK = 1024**2
_OPENERS: dict[str, Callable[[Path], Any]] = {".xz": lzma.open, ".gz": gzip.open, "": partial(open, mode="rb")}
"""By suffix, in the order in which to prefer them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """An index of a suite that is to be read."""

    suite: OpenSuite
    kind: IndexKind
    component: str
    architecture: str | None

    @property
    def path(self) -> str:
        """Below `dists/<suite>/`, uncompressed."""
        directory = f"binary-{self.architecture}" if self.architecture else "source"
        return f"{self.component}/{directory}/{self.kind}"


def wanted(suite: OpenSuite, architecture: str) -> Iterator[Wanted]:
    """List the indices that a user of a suite reads: those of the configured components that it has."""
    release = suite.release
    architectures = [architecture] if architecture in release.architectures else []
    if release.all_is_apart:
        architectures.append("all")
    for component in suite.mirror.components:
        if component not in release.components:
            continue
        kinds = [(IndexKind.PACKAGES, name) for name in architectures] + [(IndexKind.SOURCES, None)]
        for kind, each in kinds:
            found = Wanted(suite=suite, kind=kind, component=component, architecture=each)
            if found.path in release.entries:
                yield found


class IndexReader:
    """Fetches and caches indices with one set of settings."""

    def __init__(self, settings: Settings, fetcher: Fetcher, blobs: BlobStore) -> None:
        self._cache = settings.indices_dir
        self._fetcher = fetcher
        self._blobs = blobs

    def read(self, wanted: Wanted) -> IndexFile:
        """Return an index, verified in this run.

        Raise DigestMismatch for other bytes than the InRelease names, HostileInput for an absurd size, NetworkFailure.
        """
        plain = wanted.suite.release.entries[wanted.path]
        packed, suffix = _packed(wanted)
        path = self._cache / plain.digest.hex
        if not self._is_cached(path, plain) or not self._blobs.has(packed.digest):
            self._bring(wanted, plain, packed, suffix)
        with storage_errors(path):
            os.utime(path)
        return IndexFile(
            kind=wanted.kind,
            path=path,
            digest=plain.digest,
            document=packed.digest,
            archive=wanted.suite.part.label,
            suite=wanted.suite.part.suite,
            component=wanted.component,
            architecture=wanted.architecture,
        )

    def _is_cached(self, path: Path, plain: IndexEntry) -> bool:
        """Whether the cache has it, whole; a damaged file is made anew."""
        return path.is_file() and path.stat().st_size == plain.size_bytes and digest_of(path) == plain.digest

    def _bring(self, wanted: Wanted, plain: IndexEntry, packed: IndexEntry, suffix: str) -> None:
        if max(plain.size_bytes, packed.size_bytes) > INDEX_LIMIT_BYTES:
            raise HostileInput(
                f"{wanted.path}: {plain.size_bytes} bytes announced; at most {INDEX_LIMIT_BYTES} are read"
            )
        with storage_errors(self._cache):
            self._cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".new-", dir=self._cache) as directory:
            compressed, uncompressed = Path(directory, "packed"), Path(directory, "plain")
            self._download(wanted.suite, packed, compressed)
            _unpack(compressed, uncompressed, plain, suffix)
            self._blobs.put_file(compressed)
            with storage_errors(uncompressed):
                uncompressed.chmod(0o644)
                os.replace(uncompressed, self._cache / plain.digest.hex)

    def _download(self, suite: OpenSuite, entry: IndexEntry, path: Path) -> None:
        """Fetch by hash where the suite serves that (it outlives the mirror's update), else by name."""
        directory = entry.path.rpartition("/")[0]
        by_hash = [f"{directory}/by-hash/SHA256/{entry.digest.hex}"] if suite.release.by_hash else []
        *first, last = [suite.address(place) for place in (*by_hash, entry.path)]
        bounds = {"size_bytes": entry.size_bytes, "limit_bytes": INDEX_LIMIT_BYTES}
        for address in first:
            try:
                self._fetcher.download(address, path, digest=entry.digest, **bounds)
            except NotFound:
                continue
            return
        self._fetcher.download(last, path, digest=entry.digest, **bounds)


def evidence(index: IndexFile, suite: OpenSuite) -> Evidence:
    """Say how an index is known: by the digest that the verified InRelease has for it."""
    return Evidence(
        scheme=SCHEME,
        subject=f"{index.archive} {index.name}",
        subject_digest=index.digest,
        outcome=Standing.VERIFIED,
        reason=f"size and SHA-256, compressed and uncompressed, are those in the InRelease of {index.suite}",
        signer=suite.evidence.signer,
        issuer=f"InRelease {suite.document}",
        signed_at=suite.evidence.signed_at,
        document=index.document,
    )


def _packed(wanted: Wanted) -> tuple[IndexEntry, str]:
    """Choose the file to fetch: the best compression that the suite has and that is read here."""
    entries = wanted.suite.release.entries
    return next((entries[wanted.path + suffix], suffix) for suffix in _OPENERS if wanted.path + suffix in entries)


def _unpack(packed: Path, plain: Path, entry: IndexEntry, suffix: str) -> None:
    """Decompress at most the signed size; raise DigestMismatch unless the result is what was signed."""
    hasher = hashlib.sha256()
    with storage_errors(plain), plain.open("wb") as target:
        for block in _blocks(packed, entry, suffix):
            hasher.update(block)
            target.write(block)
    found = Digest(hasher.hexdigest())
    if found != entry.digest:
        raise DigestMismatch(
            f"{entry.path}: expected {entry.digest}, found {found}", hint="the archive contradicts itself"
        )


def _blocks(packed: Path, entry: IndexEntry, suffix: str) -> Iterator[bytes]:
    size = 0
    try:
        with _OPENERS[suffix](packed) as source:
            while block := source.read(min(_BLOCK, entry.size_bytes - size + 1)):
                size += len(block)
                if size > entry.size_bytes:
                    raise DigestMismatch(f"{entry.path}: unpacks to more than the {entry.size_bytes} bytes signed for")
                yield block
    except (lzma.LZMAError, zlib.error, EOFError, gzip.BadGzipFile) as error:
        raise HostileInput(f"{entry.path}: cannot be decompressed: {error}") from error
