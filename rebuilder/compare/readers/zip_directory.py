"""The central directory of a zip archive and the local headers it points to (APPNOTE 4.3.7 to 4.3.16, 4.5.3)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from rebuilder.compare.readers.archive import Attribute, Attributes
from rebuilder.compare.readers.extent import Extent
from rebuilder.compare.readers.workspace import Workspace
from rebuilder.errors import HostileInput

_END = struct.Struct("<4s4H2IH")
_END64 = struct.Struct("<4sQ2H2I4Q")
_LOCATOR64 = struct.Struct("<4sIQI")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_LOCAL = struct.Struct("<4s5H3I2H")
_MAX32, _MAX16 = 0xFFFFFFFF, 0xFFFF


@dataclass(frozen=True, slots=True, kw_only=True)
class Directory:
    """Where the central directory is."""

    start: int
    size: int
    count: int
    attributes: Attributes


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry of the central directory."""

    name: bytes
    flags: int
    method: int
    date: str
    crc: int
    packed: int
    size: int
    offset: int
    external: int
    encoding: str
    extra: bytes
    comment: bytes


def find_directory(extent: Extent) -> Directory:
    """Find the end record, which must end the file; a zip64 end record must stand right before it."""
    tail = extent.part(max(extent.size - _END.size - _MAX16, 0), min(extent.size, _END.size + _MAX16))
    data = tail.read(0, tail.size)
    position = data.rfind(b"PK\x05\x06")
    if position < 0 or position + _END.size > len(data):
        raise HostileInput("not a zip archive: no end of the central directory")
    _, disk, first, here, count, size, start, comment = _END.unpack_from(data, position)
    if position + _END.size + comment != len(data):
        raise HostileInput("a zip archive's comment is not as long as announced")
    if disk or first or here != count:
        raise HostileInput("a zip archive in several parts")
    end = tail_offset = extent.size - len(data) + position
    attributes = [(Attribute.EXTRA, f"comment {data[position + _END.size :].hex()}")] if comment else []
    if count == _MAX16 or _MAX32 in {size, start}:
        count, size, start, end = _zip64(extent, tail_offset)
    if start + size != end:
        raise HostileInput("a zip archive's directory does not end where its end record starts")
    return Directory(start=start, size=size, count=count, attributes=tuple(attributes))


def _zip64(extent: Extent, end: int) -> tuple[int, int, int, int]:
    magic, disk, offset, disks = _LOCATOR64.unpack(extent.read(end - _LOCATOR64.size, _LOCATOR64.size))
    if magic != b"PK\x06\x07" or disk or disks > 1 or offset + _END64.size + _LOCATOR64.size != end:
        raise HostileInput("a zip64 archive's end record is not where it belongs")
    magic, length, _, _, disk, first, here, count, size, start = _END64.unpack(extent.read(offset, _END64.size))
    if magic != b"PK\x06\x06" or length != _END64.size - 12 or disk or first or here != count:
        raise HostileInput("a zip64 archive's end record is malformed")
    return count, size, start, offset


def read_entries(extent: Extent, directory: Directory, workspace: Workspace) -> list[Entry]:
    """All entries, in the directory's order."""
    entries = []
    region = extent.part(directory.start, directory.size)
    offset = 0
    while offset < region.size:
        workspace.count_member()
        entry, offset = _entry(region, offset, workspace.limits.name_bytes)
        entries.append(entry)
    if len(entries) != directory.count:
        raise HostileInput(f"a zip archive announces {directory.count} members and lists {len(entries)}")
    return entries


def _entry(region: Extent, offset: int, name_limit: int) -> tuple[Entry, int]:
    fields = _CENTRAL.unpack(region.read(offset, _CENTRAL.size))
    magic, made, needed, flags, method, time, date, crc, packed, size = fields[:10]
    name_size, extra_size, comment_size, disk, internal, external, start = fields[10:]
    if magic != b"PK\x01\x02" or disk not in {0, _MAX16}:
        raise HostileInput("a zip archive's directory entry is malformed")
    if name_size > name_limit or not name_size:
        raise HostileInput(f"a zip member's name has {name_size} bytes; 1 to {name_limit} are read")
    rest = region.read(offset + _CENTRAL.size, name_size + extra_size + comment_size)
    extra = rest[name_size : name_size + extra_size]
    size, packed, start = _wide(extra, size, packed, start)
    entry = Entry(
        name=rest[:name_size],
        flags=flags,
        method=method,
        date=_date(date, time),
        crc=crc,
        packed=packed,
        size=size,
        offset=start,
        external=external,
        encoding=f"made by {made:#06x}, needs {needed:#06x}, internal {internal:#x}",
        extra=extra,
        comment=rest[name_size + extra_size :],
    )
    return entry, offset + _CENTRAL.size + len(rest)


def _wide(extra: bytes, size: int, packed: int, start: int) -> tuple[int, int, int]:
    """Put the numbers of a zip64 extra field (4.5.3) where the short ones say so."""
    if _MAX32 not in {size, packed, start}:
        return size, packed, start
    while len(extra) >= 4:
        kind, length = struct.unpack_from("<2H", extra)
        if kind == 1:
            numbers = iter(struct.unpack_from(f"<{min(length, len(extra) - 4) // 8}Q", extra, 4))
            wide = [next(numbers, value) if value == _MAX32 else value for value in (size, packed, start)]
            return wide[0], wide[1], wide[2]
        extra = extra[4 + length :]
    raise HostileInput("a zip64 member lacks its zip64 field")


def data_extent(extent: Extent, entry: Entry) -> tuple[int, Extent, int, str]:
    """Start, packed data and end of a member, and how its local header differs from the directory."""
    fields = _LOCAL.unpack(extent.read(entry.offset, _LOCAL.size))
    magic, needed, flags, method, time, date, crc, packed, size, name_size, extra_size = fields
    if magic != b"PK\x03\x04":
        raise HostileInput("a zip member's local header is missing")
    rest = extent.read(entry.offset + _LOCAL.size, name_size + extra_size)
    if rest[:name_size] != entry.name or method != entry.method or flags != entry.flags:
        raise HostileInput("a zip member's local header contradicts the directory")
    described = f"local needs {needed:#06x}, extra {rest[name_size:].hex()}"
    start = entry.offset + _LOCAL.size + len(rest)
    data = extent.part(start, entry.packed)
    end = start + entry.packed
    streamed = bool(flags & 8)
    if not streamed and (crc != entry.crc or not {packed, size} <= {entry.packed, entry.size, _MAX32}):
        raise HostileInput("a zip member's local header contradicts the directory")
    if streamed:
        length, descriptor = _descriptor(extent, end, entry)
        end += length
        described += f", local crc {crc:#x} sizes {packed} {size}, descriptor {descriptor}"
    if _date(date, time) != entry.date:
        described += f", local date {_date(date, time)}"
    return entry.offset, data, end, described


def _descriptor(extent: Extent, offset: int, entry: Entry) -> tuple[int, str]:
    """Read the data descriptor behind streamed data (4.3.9): with or without signature, short or long sizes."""
    head = extent.part(offset, extent.size - offset).head(24)
    for signature in (b"PK\x07\x08", b""):
        for layout in ("<I2I", "<I2Q"):
            try:
                expected = signature + struct.pack(layout, entry.crc, entry.packed, entry.size)
            except struct.error:
                continue
            if head.startswith(expected):
                return len(expected), f"{len(expected)} bytes"
    raise HostileInput("a zip member's data descriptor contradicts the directory")


def _date(date: int, time: int) -> str:
    """MS-DOS date and time, to two seconds, in no zone."""
    day = f"{(date >> 9) + 1980:04}-{date >> 5 & 15:02}-{date & 31:02}"
    return f"{day} {time >> 11:02}:{time >> 5 & 63:02}:{(time & 31) * 2:02}"
