"""Content-addressed, create-only bytes in a local directory.

A blob is named by its SHA-256, written under a temporary name, synced, then renamed; the second writer of the same
bytes changes nothing. Reading verifies: a blob whose bytes no longer have its name is refused, and never handed out.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Protocol

from rebuilder.errors import DigestMismatch, StorageFailure
from rebuilder.model.digest import Digest
from rebuilder.world.files import digest_of, storage_errors

_BLOCK = 1024 * 1024


class BlobStore(Protocol):
    """Keeps bytes by digest; local directory here, an object store on a farm."""

    def put(self, data: bytes) -> Digest:
        """Keep bytes; return their name."""

    def put_file(self, path: Path) -> Digest:
        """Keep a file's bytes; the file itself is left alone."""

    def get(self, digest: Digest, *, limit_bytes: int = 256 * 1024**2) -> bytes:
        """Return verified bytes; raise StorageFailure if absent, DigestMismatch if altered."""

    def path(self, digest: Digest) -> Path:
        """A local file with the blob's bytes, not verified; raise StorageFailure if absent."""

    def has(self, digest: Digest) -> bool:
        """Whether the blob is here."""


class LocalBlobs:
    """A directory of blobs: `<root>/sha256/ab/abcdef…`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def put(self, data: bytes) -> Digest:
        """See BlobStore.put."""
        digest = Digest.of(data)
        if not self.has(digest):
            self._write(iter((data,)), digest)
        return digest

    def put_file(self, path: Path) -> Digest:
        """See BlobStore.put_file."""
        digest = digest_of(path)
        if not self.has(digest):
            with storage_errors(path), path.open("rb") as stream:
                self._write(iter(lambda: stream.read(_BLOCK), b""), digest)
        return digest

    def get(self, digest: Digest, *, limit_bytes: int = 256 * 1024**2) -> bytes:
        """See BlobStore.get."""
        path = self.path(digest)
        with storage_errors(path), path.open("rb") as stream:
            data = stream.read(limit_bytes + 1)
        if len(data) > limit_bytes:
            raise StorageFailure(f"blob {digest} is longer than {limit_bytes} bytes")
        if Digest.of(data) != digest:
            raise DigestMismatch(
                f"blob {digest} holds other bytes than its name says",
                hint="remove it; it will be fetched or made again",
            )
        return data

    def path(self, digest: Digest) -> Path:
        """See BlobStore.path."""
        path = self._path(digest)
        if not path.is_file():
            raise StorageFailure(f"blob {digest} is not here")
        return path

    def has(self, digest: Digest) -> bool:
        """See BlobStore.has."""
        return self._path(digest).is_file()

    def open(self, digest: Digest) -> IO[bytes]:
        """Open a blob for reading in blocks, not verified."""
        path = self.path(digest)
        with storage_errors(path):
            return path.open("rb")

    def _path(self, digest: Digest) -> Path:
        return self.root / "sha256" / digest.hex[:2] / digest.hex

    def _write(self, blocks: Iterator[bytes], digest: Digest) -> None:
        path = self._path(digest)
        with storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(prefix=".new-", dir=path.parent)
            try:
                hasher = hashlib.sha256()
                with os.fdopen(descriptor, "wb") as stream:
                    for block in blocks:
                        hasher.update(block)
                        stream.write(block)
                    os.fchmod(stream.fileno(), 0o444)
                    stream.flush()
                    os.fsync(stream.fileno())
                if hasher.hexdigest() != digest.hex:
                    raise DigestMismatch(f"the bytes of {digest} changed while they were stored")  # noqa: TRY301 - the cleanup below is for it too
                os.replace(name, path)
            except BaseException:
                os.unlink(name)
                raise
