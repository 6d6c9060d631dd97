"""Tar streams between this machine and an engine, made and read in blocks, never whole in memory."""

from __future__ import annotations

import io
import tarfile
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath

from rebuilder.errors import EngineFailure, RebuilderError
from rebuilder.world.files import storage_errors

Entry = bytes | Path | None
"""Content of a file, a file of this machine, or None for a directory."""
_BLOCK = 1024 * 1024
_DRAIN_S = 30
_EPOCH = 315532800
"""1980-01-01: the time of every file and directory that we put into a container."""


def pack(entries: Mapping[str, Entry], *, directory_owner: int = 0) -> Iterator[bytes]:
    """Make a tar stream of entries by relative path: files 0644 of root, directories 0755.

    An entry that is None is a directory that belongs to `directory_owner`. The directories above an entry come by
    themselves and are root's. A name must be relative and plain (ValueError): it is ours, not an input's.
    """
    own = {name for name, content in entries.items() if content is None}
    for directory in sorted(own | _parents(entries)):
        yield header(directory, 0, directory_owner if directory in own else 0, tarfile.DIRTYPE)
    for name in sorted(entries.keys() - own):
        content = entries[name]
        if isinstance(content, bytes):
            yield header(name, len(content))
            yield content + padding(len(content))
        elif content is not None:
            with storage_errors(content):
                yield from _file(name, content)
    yield b"\0" * 1024


def _parents(entries: Mapping[str, Entry]) -> set[str]:
    found: set[str] = set()
    for name in entries:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or str(path) != name:
            raise ValueError(f"not a plain relative path: {name[:80]!r}")
        found.update(str(parent) for parent in path.parents if str(parent) != ".")
    return found


def _file(name: str, path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        size = stream.seek(0, io.SEEK_END)
        stream.seek(0)
        yield header(name, size)
        left = size
        while left:
            block = stream.read(min(_BLOCK, left))
            if not block:
                raise OSError(0, "the file became shorter while it was read")
            left -= len(block)
            yield block
        yield padding(size)


def header(name: str, size: int, owner: int = 0, kind: bytes = tarfile.REGTYPE) -> bytes:
    """Make a member's header block (POSIX.1-2001 pax where the name asks for it)."""
    entry = tarfile.TarInfo(name)
    entry.size = size
    entry.type = kind
    entry.mode = 0o755 if kind == tarfile.DIRTYPE else 0o644
    entry.uid = entry.gid = owner
    entry.mtime = _EPOCH
    return entry.tobuf(format=tarfile.PAX_FORMAT)


def padding(size: int) -> bytes:
    """Fill a member up to a whole block."""
    return b"\0" * (-size % tarfile.BLOCKSIZE)


class Reader(io.RawIOBase):
    """Lets tarfile read an iterator of blocks as a stream."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self._blocks = iter(blocks)
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def readinto(self, buffer: object) -> int:
        """Give the next bytes."""
        while not self._rest:
            block = next(self._blocks, None)
            if block is None:
                return 0
            self._rest = memoryview(block)
        target = memoryview(buffer)  # type: ignore[arg-type]  # a writable buffer by io's contract
        count = min(len(target), len(self._rest))
        target[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


class Collector:
    """Drains a container's output in a thread, keeping at most the limit of each stream."""

    def __init__(self, pieces: Iterator[tuple[bytes, bytes]], *, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._kept = (bytearray(), bytearray())
        self._failure: RebuilderError | None = None
        self._thread = threading.Thread(target=self._drain, args=(pieces,), daemon=True)
        self._thread.start()

    def result(self) -> tuple[bytes, bytes]:
        """Wait for the end of both streams and return what was kept; raise what reading them raised."""
        self._thread.join(timeout=_DRAIN_S)
        if self._failure is not None:
            raise self._failure
        if self._thread.is_alive():
            raise EngineFailure("the engine did not end the output of a container that has ended")
        return bytes(self._kept[0]), bytes(self._kept[1])

    def _drain(self, pieces: Iterator[tuple[bytes, bytes]]) -> None:
        try:
            for piece in pieces:
                for kept, data in zip(self._kept, piece, strict=True):
                    kept.extend(data[: max(self._limit_bytes - len(kept), 0)])
        except RebuilderError as error:
            self._failure = error
