"""A run of bytes inside an open file: what readers read from, never a path and never a copy in memory."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass

from rebuilder.errors import HostileInput, StorageFailure
from rebuilder.model.digest import Digest

BLOCK = 256 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """`size` bytes from `start` of an open file; reading past the end is HostileInput."""

    descriptor: int
    start: int
    size: int

    def read(self, offset: int, length: int) -> bytes:
        """Exactly `length` bytes at `offset`."""
        if offset < 0 or length < 0 or offset + length > self.size:
            raise HostileInput(f"ends early: {length} bytes wanted at {offset}, but there are only {self.size}")
        parts = []
        while length:
            block = self._pread(offset, length)
            parts.append(block)
            offset += len(block)
            length -= len(block)
        return b"".join(parts)

    def head(self, length: int) -> bytes:
        """Up to `length` bytes from the beginning."""
        return self.read(0, min(length, self.size))

    def whole(self, limit_bytes: int) -> bytes:
        """All bytes of a small extent; raise HostileInput if it is larger than the limit."""
        if self.size > limit_bytes:
            raise HostileInput(f"{self.size} bytes; at most {limit_bytes} are read at once")
        return self.read(0, self.size)

    def part(self, offset: int, size: int) -> Extent:
        """Return a run of bytes within this one."""
        if offset < 0 or size < 0 or offset + size > self.size:
            raise HostileInput(f"ends early: {size} bytes wanted at {offset}, but there are only {self.size}")
        return Extent(descriptor=self.descriptor, start=self.start + offset, size=size)

    def blocks(self) -> Iterator[bytes]:
        """All bytes, in order."""
        offset = 0
        while offset < self.size:
            block = self._pread(offset, min(BLOCK, self.size - offset))
            yield block
            offset += len(block)

    def digest(self) -> Digest:
        """SHA-256 of the bytes."""
        hasher = hashlib.sha256()
        for block in self.blocks():
            hasher.update(block)
        return Digest(hasher.hexdigest())

    def md5(self) -> str:
        """MD5 in hexadecimal: only to check what a .deb's `md5sums` says, never as identity."""
        hasher = hashlib.md5(usedforsecurity=False)
        for block in self.blocks():
            hasher.update(block)
        return hasher.hexdigest()

    def _pread(self, offset: int, length: int) -> bytes:
        try:
            block = os.pread(self.descriptor, min(length, 16 * 1024**2), self.start + offset)
        except OSError as error:
            raise StorageFailure(f"cannot read what is compared: {error.strerror}") from error
        if not block:
            raise HostileInput(f"ends early: {length} bytes wanted at {offset}")
        return block


def is_same(first: Extent, second: Extent) -> bool:
    """Whether both hold the same bytes; compared block by block, nothing is hashed."""
    if first.size != second.size:
        return False
    if (first.descriptor, first.start) == (second.descriptor, second.start):
        return True
    return all(one == other for one, other in zip(_even(first), _even(second), strict=True))


def _even(extent: Extent) -> Iterator[bytes]:
    for offset in range(0, extent.size, BLOCK):
        yield extent.read(offset, min(BLOCK, extent.size - offset))
