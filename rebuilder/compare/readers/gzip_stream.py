"""gzip, RFC 1952: header fields kept, checksums checked, several members, bytes behind the end reported."""

from __future__ import annotations

import zlib
from collections.abc import Generator, Iterator

from rebuilder.compare.readers.archive import Attribute, shown, text_of
from rebuilder.compare.readers.extent import BLOCK, Extent
from rebuilder.errors import HostileInput

MAGIC = b"\x1f\x8b"
_STREAMS = 10_000
_HEADER_LIMIT = 128 * 1024


def unpack_gzip(extent: Extent, notes: list[tuple[str, str]]) -> Iterator[bytes]:
    """Yield the content; append what the headers say to `notes`."""
    offset = members = 0
    while not members or extent.part(offset, extent.size - offset).head(2) == MAGIC:
        if members == _STREAMS:
            raise HostileInput(f"more than {_STREAMS} gzip members in one file")
        length, described = _header(extent.part(offset, extent.size - offset).head(_HEADER_LIMIT))
        if members < 4:
            notes += described
        offset = yield from _member(extent, offset + length)
        members += 1
    notes.append((Attribute.PACKING, f"{members} members"))
    rest = extent.part(offset, extent.size - offset)
    if rest.size:
        notes.append((Attribute.EXTRA, f"{rest.size} bytes behind the end, {rest.digest()}"))


def _member(extent: Extent, offset: int) -> Generator[bytes, None, int]:
    """Inflate one member that starts at `offset`; return where the next would start."""
    decoder = zlib.decompressobj(-zlib.MAX_WBITS)
    checksum = size = 0
    while not decoder.eof:
        packed = extent.part(offset, min(BLOCK, extent.size - offset)).whole(BLOCK)
        if not packed:
            raise HostileInput("not a sound gzip stream: ends early")
        offset += len(packed)
        while packed or decoder.unconsumed_tail:
            block = decoder.decompress(packed or decoder.unconsumed_tail, BLOCK)
            checksum = zlib.crc32(block, checksum)
            size += len(block)
            yield block
            packed = b""
            if decoder.eof:
                break
    offset -= len(decoder.unused_data)
    trailer = extent.read(offset, 8)
    if trailer != checksum.to_bytes(4, "little") + (size & 0xFFFFFFFF).to_bytes(4, "little"):
        raise HostileInput("not a sound gzip stream: the checksum is wrong")
    return offset + 8


def _header(head: bytes) -> tuple[int, list[tuple[str, str]]]:
    """Length of the member header, and its fields (RFC 1952, section 2.3)."""
    if len(head) < 18 or head[:3] != MAGIC + b"\x08" or head[3] & 0xE0:
        raise HostileInput("not a sound gzip stream: the header is malformed")
    flags = head[3]
    described = [f"date {int.from_bytes(head[4:8], 'little')}", f"system {head[9]}"]
    position = 10
    if flags & 4:
        length = int.from_bytes(head[position : position + 2], "little")
        described.append(f"extra {head[position + 2 : position + 2 + length].hex()}")
        position += 2 + length
    for bit, what in ((8, "name"), (16, "comment")):
        if flags & bit:
            end = head.find(b"\0", position)
            if end < 0:
                raise HostileInput("not a sound gzip stream: a header field has no end")
            described.append(f"{what} {shown(text_of(head[position:end]))}")
            position = end + 1
    position += 2 if flags & 2 else 0
    packing = f"gzip flags {flags:#x}, level {head[8]}"
    return position, [(Attribute.HEADER, ", ".join(described)), (Attribute.PACKING, packing)]
