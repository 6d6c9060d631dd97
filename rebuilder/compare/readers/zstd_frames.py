"""The frames of a zstd file, RFC 8878: how it was packed, and what decoders silently skip."""

from __future__ import annotations

from rebuilder.compare.readers.archive import Attribute, Attributes
from rebuilder.compare.readers.extent import Extent
from rebuilder.errors import HostileInput

MAGIC = b"\x28\xb5\x2f\xfd"
_FRAMES = 100_000
_CONTENT_SIZE_BYTES = (0, 2, 4, 8)
_DICTIONARY_BYTES = (0, 1, 2, 4)


class ExtentReader:
    """An extent as the readable object that the decoder asks for."""

    def __init__(self, extent: Extent) -> None:
        self._extent = extent
        self._offset = 0

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes, none at the end."""
        left = self._extent.size - self._offset
        block = self._extent.read(self._offset, left if size < 0 else min(size, left))
        self._offset += len(block)
        return block


def describe_frames(extent: Extent) -> Attributes:
    """Walk over all frames without unpacking; skippable frames are bytes that belong to nobody."""
    offset = frames = 0
    packing = ""
    skipped: list[tuple[str, str]] = []
    while offset < extent.size:
        magic = extent.read(offset, 4)
        frames += 1
        if frames > _FRAMES:
            raise HostileInput(f"more than {_FRAMES} zstd frames in one file")
        if magic == MAGIC:
            described, offset = _frame(extent, offset + 4)
            packing = packing or described
        elif 0x184D2A50 <= int.from_bytes(magic, "little") <= 0x184D2A5F:
            size = int.from_bytes(extent.read(offset + 4, 4), "little")
            part = extent.part(offset + 8, size)
            skipped = [*skipped[:8], (Attribute.EXTRA, f"skippable frame of {size} bytes, {part.digest()}")]
            offset += 8 + size
        else:
            raise HostileInput("not a sound zstd stream: bytes between frames")
    return ((Attribute.PACKING, f"{packing}, {frames} frames"), *skipped)


def _frame(extent: Extent, offset: int) -> tuple[str, int]:
    descriptor = extent.read(offset, 1)[0]
    single = descriptor >> 5 & 1
    offset += 1
    window = "of the content" if single else f"{extent.read(offset, 1)[0]:#x}"
    offset += 1 - single
    offset += _DICTIONARY_BYTES[descriptor & 3]
    offset += _CONTENT_SIZE_BYTES[descriptor >> 6] or single
    last = False
    while not last:
        header = int.from_bytes(extent.read(offset, 3), "little")
        last = bool(header & 1)
        kind, size = header >> 1 & 3, header >> 3
        if kind == 3:
            raise HostileInput("not a sound zstd stream: a block of reserved type")
        offset += 3 + (1 if kind == 1 else size)
    offset += 4 if descriptor & 4 else 0
    return f"zstd descriptor {descriptor & 7:#x}, window {window}", offset
