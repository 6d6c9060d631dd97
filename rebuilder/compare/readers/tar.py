"""tar archives: v7, ustar, GNU and pax, every byte accounted for.

Own code rather than the standard library's: that one silently takes a damaged header for the end, and does not
say what it skipped. Here a damaged header is refused, and padding and trailing bytes are part of what is compared.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from sys import intern

from rebuilder.compare.readers.archive import Archive, ArchiveKind, Attribute, Attributes, Member, MemberType, text_of
from rebuilder.compare.readers.extent import Extent
from rebuilder.compare.readers.tar_fields import BLOCK, TarHeader, parse_header
from rebuilder.compare.readers.workspace import Workspace
from rebuilder.errors import HostileInput

_TYPES = {
    b"0": MemberType.FILE,
    b"\0": MemberType.FILE,
    b"7": MemberType.FILE,
    b"1": MemberType.HARDLINK,
    b"2": MemberType.SYMLINK,
    b"3": MemberType.CHARACTER_DEVICE,
    b"4": MemberType.BLOCK_DEVICE,
    b"5": MemberType.DIRECTORY,
    b"6": MemberType.FIFO,
}
_ZERO = bytes(BLOCK)
_RECORD = 20 * BLOCK


@dataclass(slots=True, kw_only=True)
class _Pending:
    """What extension headers said about the member that follows."""

    name: bytes | None = None
    link: bytes | None = None
    pax: dict[str, bytes] = field(default_factory=dict)
    flags: str = ""
    quirks: list[str] = field(default_factory=list)


def read_tar(extent: Extent, workspace: Workspace) -> Archive:
    """Read all members up to the end marker; what follows it is the attribute `extra`."""
    members: list[Member] = []
    shared: dict[str, bytes] = {}
    pending = _Pending()
    offset = 0
    while offset < extent.size:
        block = extent.read(offset, BLOCK)
        if block == _ZERO:
            break
        workspace.count_member()
        header = parse_header(block)
        size, start = _placement(header, pending, extent, offset)
        content = extent.part(start, size)
        pending.quirks += _padding(extent, start + size)
        if header.flag in {b"L", b"K", b"x", b"g"}:
            _extend(header, content, pending, shared, workspace)
        else:
            members.append(_member(header, content, pending, shared))
            if len(members[-1].name) > workspace.limits.name_bytes:
                raise HostileInput(f"a tar member's name is longer than {workspace.limits.name_bytes} bytes")
            pending = _Pending()
        offset = _rounded(start + size)
    if pending.flags:
        raise HostileInput("a tar archive ends after an extension header")
    return Archive(kind=ArchiveKind.TAR, members=tuple(members), attributes=_ending(extent, min(offset, extent.size)))


def _placement(header: TarHeader, pending: _Pending, extent: Extent, offset: int) -> tuple[int, int]:
    """Size of the data and where it starts: behind the header and behind GNU sparse maps."""
    size = header.size
    if header.flag not in {b"L", b"K", b"x", b"g"} and "size" in pending.pax:
        size = _decimal(pending.pax["size"], "size")
    if size < 0:
        raise HostileInput("a tar member has a negative size")
    if header.flag in {b"1", b"2", b"3", b"4", b"5", b"6"} and size:
        raise HostileInput("a tar member that can have no content has a size")
    start = offset + BLOCK
    if header.flag == b"S":
        more = extent.read(offset, BLOCK)[482]
        while more:
            more = extent.read(start, BLOCK)[504]
            start += BLOCK
        pending.quirks.append(f"sparse {hashlib.sha256(extent.read(offset, start - offset)).hexdigest()}")
    return size, start


def _extend(
    header: TarHeader, content: Extent, pending: _Pending, shared: dict[str, bytes], workspace: Workspace
) -> None:
    pending.flags += header.flag.decode("ascii")
    if len(pending.flags) > 16:
        raise HostileInput("a tar member has too many extension headers")
    data = content.whole(workspace.limits.header_bytes)
    if header.flag == b"L":
        pending.name = data.rstrip(b"\0")
    elif header.flag == b"K":
        pending.link = data.rstrip(b"\0")
    elif header.flag == b"x":
        pending.pax |= _pax(data)
    else:
        shared |= _pax(data)
    about = (header.name, header.mode, header.uid, header.gid, header.mtime, header.user, header.group, header.quirks)
    pending.quirks.append(f"{header.flag.decode('ascii')} {about!r}")


def _pax(data: bytes) -> dict[str, bytes]:
    """Read the records, each `<length> <key>=<value>` and a newline, of a pax extended header."""
    records: dict[str, bytes] = {}
    while data.strip(b"\0"):
        digits, separator, _ = data[:24].partition(b" ")
        length = int(digits) if digits.isdigit() and separator else 0
        record = data[len(digits) + 1 : length]
        key, equals, value = record.partition(b"=")
        if not equals or not record.endswith(b"\n") or length > len(data):
            raise HostileInput("a pax record of a tar archive is malformed")
        if text_of(key) in records:
            raise HostileInput(f"a tar member has the pax record {text_of(key)[:40]!r} twice")
        records[text_of(key)] = value[:-1]
        data = data[length:]
    return records


def _member(header: TarHeader, content: Extent, pending: _Pending, shared: dict[str, bytes]) -> Member:
    records = shared | pending.pax
    name = records.pop("path", None) or pending.name or header.name
    link = records.pop("linkpath", None) or pending.link or header.link
    records.pop("size", None)
    kind = _TYPES.get(header.flag, MemberType.OTHER)
    if header.flag in {b"0", b"\0"} and name.endswith(b"/") and not content.size:
        kind = MemberType.DIRECTORY
    quirks = [*pending.quirks, *header.quirks]
    if kind is MemberType.OTHER or header.flag == b"7":
        quirks.append(f"flag {header.flag.hex()}")
    if kind not in {MemberType.SYMLINK, MemberType.HARDLINK} and link:
        quirks.append(f"link {link.hex()}")
    attributes: list[tuple[str, str]] = [
        (Attribute.TYPE, str(kind)),
        (Attribute.MODE, f"{header.mode & 0o7777:04o}"),
        (Attribute.OWNER, _who(records.pop("uid", None), header.uid, records.pop("uname", None), header.user)),
        (Attribute.GROUP, _who(records.pop("gid", None), header.gid, records.pop("gname", None), header.group)),
        (Attribute.MTIME, text_of(records.pop("mtime", str(header.mtime).encode()))),
    ]
    if header.mode & ~0o7777:
        quirks.append(f"mode {header.mode:o}")
    if kind in {MemberType.SYMLINK, MemberType.HARDLINK}:
        attributes.append((Attribute.LINK, text_of(link)))
    if kind in {MemberType.CHARACTER_DEVICE, MemberType.BLOCK_DEVICE} or any(header.device):
        attributes.append((Attribute.DEVICE, f"{header.device[0]},{header.device[1]}"))
    attributes += [(f"pax:{key}", text_of(value)) for key, value in sorted(records.items())]
    attributes.append((Attribute.ENCODING, "; ".join(quirks)))
    attributes = [(key, intern(value)) for key, value in attributes]
    has_content = kind in {MemberType.FILE, MemberType.OTHER}
    return Member(name=text_of(name), type=kind, attributes=tuple(attributes), content=content if has_content else None)


def _who(number_record: bytes | None, number: int, name_record: bytes | None, name: bytes) -> str:
    digits = text_of(number_record) if number_record is not None else str(number)
    return f"{digits}/{text_of(name_record if name_record is not None else name)}"


def _decimal(value: bytes, what: str) -> int:
    if not value.isdigit() or len(value) > 20:
        raise HostileInput(f"a tar member's pax {what} is not a number: {value[:40]!r}")
    return int(value)


def _rounded(offset: int) -> int:
    return -(-offset // BLOCK) * BLOCK


def _padding(extent: Extent, end: int) -> list[str]:
    """Bytes between a member and the next header, which nobody reads and everybody should write as zeros."""
    padding = extent.read(end, _rounded(end) - end)
    return [f"padding {hashlib.sha256(padding).hexdigest()}"] if padding.strip(b"\0") else []


def _ending(extent: Extent, offset: int) -> Attributes:
    tail = extent.part(offset, extent.size - offset)
    if any(block.strip(b"\0") for block in tail.blocks()):
        return ((Attribute.EXTRA, f"{tail.size} bytes behind the end, {tail.digest()}"),)
    in_records = extent.size % _RECORD == 0 and 2 * BLOCK <= tail.size < _RECORD + 2 * BLOCK
    return ((Attribute.EXTRA, "zeros to the end of a record" if in_records else f"{tail.size} zero bytes at the end"),)
