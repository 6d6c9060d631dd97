"""gzip, xz, lzma, bzip2 and zstd streams: unpacked block by block within a budget, parameters kept as attributes."""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterator
from typing import IO, Protocol, cast

import zstandard

from rebuilder.compare.readers.archive import Archive, ArchiveKind, Attribute, Attributes, Member, MemberType
from rebuilder.compare.readers.extent import BLOCK, Extent
from rebuilder.compare.readers.gzip_stream import unpack_gzip
from rebuilder.compare.readers.workspace import Workspace
from rebuilder.compare.readers.zstd_frames import ExtentReader, describe_frames
from rebuilder.errors import HostileInput

CONTENT = "content"
_STREAMS = 10_000
_XZ_HEADERS = 12 + 1024
"""Longest stream header and block header together."""


def read_compressed(extent: Extent, kind: ArchiveKind, workspace: Workspace) -> Archive:
    """Unpack to the one member `content`."""
    workspace.count_member()
    notes: list[tuple[str, str]] = []
    blocks = _blocks(extent, kind, workspace, notes)
    try:
        content = workspace.spill(blocks, packed_bytes=extent.size)
    except (zlib.error, lzma.LZMAError, zstandard.ZstdError, OSError, EOFError, ValueError, MemoryError) as error:
        raise HostileInput(f"not a sound {kind} stream: {type(error).__name__}: {str(error)[:100]}") from error
    member = Member(name=CONTENT, type=MemberType.FILE, attributes=(), content=content)
    return Archive(kind=kind, members=(member,), attributes=tuple(notes))


def _blocks(extent: Extent, kind: ArchiveKind, workspace: Workspace, notes: list[tuple[str, str]]) -> Iterator[bytes]:
    if kind is ArchiveKind.GZIP:
        return unpack_gzip(extent, notes)
    if kind is ArchiveKind.ZSTD:
        return _unpack_zstd(extent, workspace, notes)
    memory = workspace.limits.decoder_memory_bytes
    if kind is ArchiveKind.XZ:
        notes += _xz_parameters(extent)
        return _unpack(extent, lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=memory), notes)
    if kind is ArchiveKind.LZMA:
        notes.append((Attribute.PACKING, f"lzma properties {extent.head(5).hex()}"))
        return _unpack(extent, lambda: lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=memory), notes)
    if kind is ArchiveKind.BZIP2:
        notes.append((Attribute.PACKING, f"bzip2 level {extent.head(4)[3:].decode('latin-1')}"))
        return _unpack(extent, bz2.BZ2Decompressor, notes)
    raise HostileInput(f"{kind} is not a compressed stream")


class _Decoder(Protocol):
    """What `bz2` and `lzma` decoders have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


def _unpack(extent: Extent, make: Callable[[], _Decoder], notes: list[tuple[str, str]]) -> Iterator[bytes]:
    """Yield the content of one or more streams in at most `BLOCK` bytes at once; zeros between them are padding."""
    decoder = make()
    streams, padding = 1, 0
    for packed in extent.blocks():
        data = packed
        while data or not (decoder.needs_input or decoder.eof):
            if decoder.eof:
                padding += len(data) - len(data.lstrip(b"\0"))
                data = data.lstrip(b"\0")
                if not data:
                    break
                decoder = make()
                streams += 1
                if streams > _STREAMS:
                    raise HostileInput(f"more than {_STREAMS} streams in one file")
            yield decoder.decompress(data, BLOCK)
            data = decoder.unused_data if decoder.eof else b""
    if not decoder.eof:
        raise EOFError("ends early")
    notes.append((Attribute.PACKING, f"{streams} streams, {padding} bytes of padding"))


def _xz_parameters(extent: Extent) -> Attributes:
    """Check type and first block header: filters and window, not the sizes (the .xz file format, 2.1.1 and 3.1).

    Sizes stand there when several threads packed; they follow from the content.
    """
    head = extent.head(1024 + 12)
    if len(head) < 24:
        raise HostileInput("not a sound xz stream: ends early")
    if not head[12]:
        return ((Attribute.PACKING, f"xz check {head[7]:#x}, no block"),)
    block = head[12 : 12 + head[12] * 4]
    position, flags = 2, block[1]
    for has_size in (flags & 0x40, flags & 0x80):
        if has_size:
            while position < len(block) and block[position] & 0x80:
                position += 1
            position += 1
    filters = block[position:].rstrip(b"\0").hex()
    return ((Attribute.PACKING, f"xz check {head[7]:#x}, block flags {flags:#x}, filters {filters}"),)


def _unpack_zstd(extent: Extent, workspace: Workspace, notes: list[tuple[str, str]]) -> Iterator[bytes]:
    notes += describe_frames(extent)
    decoder = zstandard.ZstdDecompressor(max_window_size=workspace.limits.decoder_memory_bytes)
    with decoder.stream_reader(
        cast("IO[bytes]", ExtentReader(extent)), read_across_frames=True, closefd=False
    ) as reader:
        while block := reader.read(BLOCK):
            yield block
