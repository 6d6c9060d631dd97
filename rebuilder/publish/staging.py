"""Writes under `results/` that are whole or absent, whenever the process dies.

Everything is written below `.staging/` first, synced, then renamed into place. One process at a time holds the lock; it
vanishes with its holder, so that whatever lies in `.staging/` when the lock is taken is a leftover of a killed run.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from rebuilder.errors import DigestMismatch, StorageFailure
from rebuilder.model.digest import Digest
from rebuilder.store.blobs import BlobStore
from rebuilder.world.files import locked, storage_errors

Document = bytes | Path | Digest
"""Bytes in memory, a local file, or a blob by its digest."""

Step = Callable[[str], None]
"""Called at each boundary between two lasting changes; tests die there."""

_BLOCK = 1024 * 1024


def keep_going(_: str) -> None:
    """Return the step of a run that nobody interrupts."""


class Staging:
    """The only writer under one results directory, while the lock is held."""

    def __init__(self, root: Path, step: Step) -> None:
        self.root = root
        self._step = step
        self._area = root / ".staging"
        self._count = 0

    def write(self, path: PurePosixPath, data: bytes) -> None:
        """Make `path` hold `data`; a file that does already is left alone."""
        target = self.root / path
        with storage_errors(target):
            if _holds(target, data):
                return
            temporary = self._temporary()
            _write_synced(temporary, iter((data,)))
            self._replace(temporary, target)

    def keep_blob(self, path: PurePosixPath, digest: Digest, blobs: BlobStore) -> None:
        """Copy a blob to `path`, create-only; raise DigestMismatch if its bytes are not what its name says."""
        target = self.root / path
        if target.is_file():
            return
        temporary = self._temporary()
        with storage_errors(target):
            _copy_blob(digest, blobs, temporary)
            self._replace(temporary, target)

    def write_tree(self, path: PurePosixPath, documents: Mapping[PurePosixPath, Document], blobs: BlobStore) -> None:
        """Make a directory with exactly these documents appear at `path` in one rename."""
        target = self.root / path
        temporary = self._temporary()
        with storage_errors(target):
            for relative, document in documents.items():
                place = temporary / relative
                place.parent.mkdir(parents=True, exist_ok=True)
                _write_document(place, document, blobs)
                self._step(f"staged {relative}")
            for directory, _, _ in os.walk(temporary, topdown=False):
                _sync_directory(Path(directory))
            self._replace(temporary, target)

    def remove(self, path: PurePosixPath) -> None:
        """Delete one file, if it is there."""
        with storage_errors(self.root / path):
            (self.root / path).unlink(missing_ok=True)
        self._step(f"removed {path}")

    def sweep(self) -> None:
        """Delete what killed runs left in the staging area."""
        with storage_errors(self._area):
            if self._area.exists():
                shutil.rmtree(self._area)
            self._area.mkdir(parents=True)
        self._step("swept")

    def close(self) -> None:
        """Delete the staging area."""
        shutil.rmtree(self._area, ignore_errors=True)

    def _temporary(self) -> Path:
        self._count += 1
        return self._area / str(self._count)

    def _replace(self, temporary: Path, target: Path) -> None:
        self._step(f"before {target.relative_to(self.root)}")
        _make_directories(target.parent)
        temporary.rename(target)
        _sync_directory(target.parent)
        self._step(f"after {target.relative_to(self.root)}")


@contextmanager
def staging(root: Path, step: Step = keep_going) -> Iterator[Staging]:
    """Hold the results directory alone; what killed runs left is gone when the block starts."""
    with storage_errors(root):
        if root.exists() and not root.is_dir():
            raise StorageFailure(
                f"{root} is a file; a results directory is needed", hint="name another one with --results"
            )
    with locked(root / ".lock"), storage_errors(root):
        area = Staging(root, step)
        area.sweep()
        try:
            yield area
        finally:
            area.close()


def document_digest(document: Document) -> Digest:
    """SHA-256 of a document, wherever its bytes are."""
    if isinstance(document, Digest):
        return document
    if isinstance(document, bytes):
        return Digest.of(document)
    with storage_errors(document), document.open("rb") as stream:
        return Digest(hashlib.file_digest(stream, "sha256").hexdigest())


def _write_document(place: Path, document: Document, blobs: BlobStore) -> None:
    if isinstance(document, Digest):
        _copy_blob(document, blobs, place)
    elif isinstance(document, bytes):
        _write_synced(place, iter((document,)))
    else:
        with document.open("rb") as stream:
            _write_synced(place, iter(lambda: stream.read(_BLOCK), b""))


def _copy_blob(digest: Digest, blobs: BlobStore, place: Path) -> None:
    source = blobs.path(digest)
    with source.open("rb") as stream:
        found = _write_synced(place, iter(lambda: stream.read(_BLOCK), b""))
    if found != digest:
        raise DigestMismatch(
            f"blob {digest} holds other bytes than its name says: {found}",
            hint="remove it; it will be fetched or made again",
        )


def _write_synced(place: Path, blocks: Iterator[bytes]) -> Digest:
    hasher = hashlib.sha256()
    with place.open("xb") as stream:
        for block in blocks:
            hasher.update(block)
            stream.write(block)
        os.fchmod(stream.fileno(), 0o644)
        stream.flush()
        os.fsync(stream.fileno())
    return Digest(hasher.hexdigest())


def _holds(target: Path, data: bytes) -> bool:
    try:
        return target.stat().st_size == len(data) and target.read_bytes() == data
    except FileNotFoundError:
        return False


def _make_directories(path: Path) -> None:
    """Create missing directories from the outside in, each one lasting before the next."""
    if path.is_dir():
        return
    _make_directories(path.parent)
    path.mkdir(exist_ok=True)
    _sync_directory(path.parent)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
