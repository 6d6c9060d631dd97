"""zip archives (wheels, jars): central directory and local headers must agree, and no byte may be unaccounted for.

Specification: PKWARE APPNOTE 6.3, sections 4.3 to 4.5. What belongs to no member (a prefix, gaps, comments) is
the attribute `extra` of the archive.
"""

from __future__ import annotations

import bz2
import zlib
from collections.abc import Iterator
from functools import partial

from rebuilder.compare.readers.archive import Archive, ArchiveKind, Attribute, Attributes, Member, MemberType, text_of
from rebuilder.compare.readers.extent import BLOCK, Extent
from rebuilder.compare.readers.workspace import Workspace
from rebuilder.compare.readers.zip_directory import Entry, data_extent, find_directory, read_entries
from rebuilder.errors import HostileInput

_STORED, _DEFLATED, _BZIP2 = 0, 8, 12


def read_zip(extent: Extent, workspace: Workspace) -> Archive:
    """Read the directory and check every local header; members are unpacked only when asked for."""
    directory = find_directory(extent)
    members: list[Member] = []
    gaps: list[tuple[str, str]] = []
    covered = 0
    entries = read_entries(extent, directory, workspace)
    for entry in sorted(entries, key=lambda entry: entry.offset):
        start, data, end, local = data_extent(extent, entry)
        if start < covered:
            raise HostileInput(f"zip members overlap at {start}")
        gaps += _gap(extent, covered, start)
        covered = end
        members.append(_member(entry, data, local, workspace))
    gaps += _gap(extent, covered, directory.start)
    order = [text_of(entry.name) for entry in entries]
    if order != [member.name for member in members]:
        gaps.append((Attribute.ENCODING, "directory and members are in different order"))
    return Archive(kind=ArchiveKind.ZIP, members=tuple(members), attributes=(*gaps, *directory.attributes))


def _gap(extent: Extent, start: int, end: int) -> Attributes:
    if end <= start:
        return ()
    part = extent.part(start, end - start)
    return ((Attribute.EXTRA, f"{part.size} bytes that belong to no member, {part.digest()}"),)


def _member(entry: Entry, data: Extent, local: str, workspace: Workspace) -> Member:
    unix = entry.external >> 16
    is_directory = entry.name.endswith(b"/")
    kind = MemberType.DIRECTORY if is_directory else MemberType.FILE
    if unix & 0o170000 == 0o120000:
        kind = MemberType.SYMLINK
    attributes = (
        (Attribute.TYPE, str(kind)),
        (Attribute.MODE, f"{unix & 0o7777:04o}"),
        (Attribute.MTIME, entry.date),
        (Attribute.PACKING, f"method {entry.method}, flags {entry.flags:#06x}"),
        (Attribute.ENCODING, f"{entry.encoding}, external {entry.external & 0xF000FFFF:#x}; {local}"),
        (Attribute.EXTRA, f"{entry.extra.hex()} {entry.comment.hex()}".strip()),
    )
    return Member(
        name=text_of(entry.name),
        type=kind,
        attributes=attributes,
        content=None if is_directory and not data.size else data,
        unpack=None if is_directory and not data.size else partial(_content, entry, data, workspace),
    )


def _content(entry: Entry, data: Extent, workspace: Workspace) -> Extent:
    """Unpack one member; its size and CRC must be what the directory says."""
    if entry.flags & 1:
        return data
    if entry.method == _STORED:
        content = data
    elif entry.method in {_DEFLATED, _BZIP2}:
        blocks = _inflate(data, workspace) if entry.method == _DEFLATED else _bunzip(data)
        try:
            content = workspace.spill(blocks, packed_bytes=data.size)
        except (zlib.error, OSError, ValueError, EOFError) as error:
            raise HostileInput(f"a zip member is not soundly packed: {str(error)[:100]}") from error
    else:
        return data
    checksum = 0
    for block in content.blocks():
        checksum = zlib.crc32(block, checksum)
    if content.size != entry.size or checksum != entry.crc:
        raise HostileInput("a zip member's size or CRC is not what the directory says")
    return content


def _inflate(data: Extent, workspace: Workspace) -> Iterator[bytes]:
    del workspace
    decoder = zlib.decompressobj(-zlib.MAX_WBITS)
    for packed in data.blocks():
        block = decoder.decompress(packed, BLOCK)
        yield block
        while decoder.unconsumed_tail and not decoder.eof:
            yield decoder.decompress(decoder.unconsumed_tail, BLOCK)
        if decoder.eof:
            break
    if not decoder.eof:
        raise EOFError("ends early")
    if decoder.unused_data:
        raise EOFError("bytes behind the end of a member")


def _bunzip(data: Extent) -> Iterator[bytes]:
    decoder = bz2.BZ2Decompressor()
    for packed in data.blocks():
        yield decoder.decompress(packed, BLOCK)
        while not decoder.needs_input and not decoder.eof:
            yield decoder.decompress(b"", BLOCK)
        if decoder.eof:
            break
    if not decoder.eof or decoder.unused_data:
        raise EOFError("ends early, or bytes behind the end of a member")
