"""gzip, RFC 1952: header fields kept, checksums checked, several members, bytes behind the end reported."""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Generator, Iterator

from rebuilder.compare.readers.archive import Attribute
from rebuilder.compare.readers.extent import BLOCK, Extent
from rebuilder.errors import HostileInput

MAGIC = b"\x1f\x8b"
_STREAMS = 10_000
_HEADER_LIMIT = 128 * 1024
_HEADER_CHECKSUM, _EXTRA, _NAME, _COMMENT = 2, 4, 8, 16
_PLAIN_NAME = re.compile(rb"[A-Za-z0-9][A-Za-z0-9.+~_-]{0,63}")
"""What gzip writes by itself: the name of the file that was packed."""


def unpack_gzip(extent: Extent, notes: list[tuple[str, str]]) -> Iterator[bytes]:
    """Yield the content; append what the headers say to `notes`.

    What tools write into the header of the one member (date, system, level, a plain name) goes under `header` and
    `packing`. All that can carry something else goes under `extra`: extra fields, comments, other names, further
    members, bytes behind the end.
    """
    offset = members = 0
    headers = hashlib.sha256()
    while not members or extent.part(offset, extent.size - offset).head(2) == MAGIC:
        if members == _STREAMS:
            raise HostileInput(f"more than {_STREAMS} gzip members in one file")
        head = extent.part(offset, extent.size - offset).head(_HEADER_LIMIT)
        length, described = _header(head)
        headers.update(head[:length])
        if not members:
            notes += described
        offset = yield from _member(extent, offset + length)
        members += 1
    if members > 1:
        notes.append((Attribute.EXTRA, f"{members} members, headers sha256:{headers.hexdigest()}"))
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
    hidden: list[tuple[str, bytes]] = []
    position = 10
    if flags & _EXTRA:
        length = int.from_bytes(head[position : position + 2], "little")
        hidden.append(("an extra field", head[position + 2 : position + 2 + length]))
        position += 2 + length
    for bit, what in ((_NAME, "name"), (_COMMENT, "comment")):
        if flags & bit:
            end = head.find(b"\0", position)
            if end < 0:
                raise HostileInput("not a sound gzip stream: a header field has no end")
            value = head[position:end]
            if bit == _NAME and _PLAIN_NAME.fullmatch(value):
                described.append(f"name {value.decode('ascii')}")
            else:
                hidden.append((f"a {what}", value))
            position = end + 1
    if flags & _HEADER_CHECKSUM:
        _verify_header(head, position)
        position += 2
    notes: list[tuple[str, str]] = [
        (Attribute.HEADER, ", ".join(described)),
        (Attribute.PACKING, f"gzip flags {flags:#x}, level {head[8]}"),
    ]
    notes += [(Attribute.EXTRA, f"{what} of {len(value)} bytes, {_digest(value)}") for what, value in hidden]
    return position, notes


def _verify_header(head: bytes, position: int) -> None:
    """Check the header's own checksum, so that nothing else can stand in its place."""
    if head[position : position + 2] != (zlib.crc32(head[:position]) & 0xFFFF).to_bytes(2, "little"):
        raise HostileInput("not a sound gzip stream: the header's checksum is wrong")


def _digest(value: bytes) -> str:
    return f"sha256:{hashlib.sha256(value).hexdigest()}"
