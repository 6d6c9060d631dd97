"""Files of ours on disk: written whole or not at all, read within bounds, hashed in blocks."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rebuilder.errors import DigestMismatch, StorageFailure
from rebuilder.model.digest import Digest

_FULL = "free some space, or name another directory (see `rebuilder doctor`)"
_REFUSED = "make it accessible to this user, or name another directory (see `rebuilder doctor`)"
_WAYS_OUT = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EACCES: _REFUSED,
    errno.EPERM: _REFUSED,
    errno.EROFS: "it is on a read-only file system: name another directory (see `rebuilder doctor`)",
}


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Translate the operating system's refusals about `path` into StorageFailure."""
    try:
        yield
    except OSError as error:
        raise StorageFailure(
            f"{path}: {error.strerror or error}",
            hint=_WAYS_OUT.get(error.errno or 0, "name another directory (see `rebuilder doctor`)"),
        ) from error


def write_atomically(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Replace `path` by `data` so that a reader sees the old bytes or the new, even after a power failure."""
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=".new-", dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(data)
                os.fchmod(stream.fileno(), mode)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(name, path)
        except BaseException:
            os.unlink(name)
            raise
        _sync_directory(path.parent)


def read(path: Path, *, limit_bytes: int) -> bytes:
    """Read a whole file of at most `limit_bytes`; raise StorageFailure if it is longer or cannot be read."""
    with storage_errors(path), path.open("rb") as stream:
        data = stream.read(limit_bytes + 1)
    if len(data) > limit_bytes:
        raise StorageFailure(f"{path} is longer than {limit_bytes} bytes")
    return data


def digest_of(path: Path) -> Digest:
    """SHA-256 of a file's bytes."""
    with storage_errors(path), path.open("rb") as stream:
        return Digest(hashlib.file_digest(stream, "sha256").hexdigest())


def verify_digest(path: Path, expected: Digest) -> None:
    """Raise DigestMismatch unless the file has that digest."""
    found = digest_of(path)
    if found != expected:
        raise DigestMismatch(
            f"{path.name}: expected {expected}, found {found}",
            hint="the mirror or the cache served other bytes than were signed for",
        )


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock named by a file; it vanishes with the process that holds it."""
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
