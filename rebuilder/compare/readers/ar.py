"""ar archives, common format with GNU and BSD long names: the outer layer of a .deb, and static libraries.

Format: deb(5), ar(5). Every byte of the file is accounted for: header fields are attributes, padding must be a newline.
"""

from __future__ import annotations

import re

from rebuilder.compare.readers.archive import Archive, ArchiveKind, Attribute, Attributes, Member, MemberType, text_of
from rebuilder.compare.readers.extent import Extent
from rebuilder.compare.readers.workspace import Workspace
from rebuilder.errors import HostileInput

MAGIC = b"!<arch>\n"
_HEADER = 60
_DECIMAL = re.compile(rb"[0-9]* *\Z")
_OCTAL = re.compile(rb"[0-7]* *\Z")


def read_ar(extent: Extent, workspace: Workspace) -> Archive:
    """Read all members; a .deb is recognised by its first one."""
    if extent.head(len(MAGIC)) != MAGIC:
        raise HostileInput("not an ar archive: the magic is missing")
    members: list[Member] = []
    table = b""
    offset = len(MAGIC)
    while offset < extent.size:
        workspace.count_member()
        header = extent.read(offset, _HEADER)
        size = _size(header)
        content = extent.part(offset + _HEADER, size)
        name, content = _name(header, content, table, workspace)
        if name == "//":
            table = content.whole(workspace.limits.header_bytes)
        offset += _HEADER + size
        padding = extent.read(offset, 1) if size % 2 and offset < extent.size else b"\n"
        offset += size % 2
        attributes = _attributes(header, _style(header, name, padding))
        members.append(Member(name=name, type=MemberType.FILE, attributes=attributes, content=content))
    if not members:
        raise HostileInput("an ar archive without members")
    kind = ArchiveKind.DEB if members[0].name == "debian-binary" else ArchiveKind.AR
    return Archive(kind=kind, members=tuple(members))


def _size(header: bytes) -> int:
    if header[58:60] != b"`\n":
        raise HostileInput("an ar member header does not end as it should")
    field = header[48:58]
    if not _DECIMAL.match(field) or not field.strip():
        raise HostileInput(f"an ar member's size is not a number: {field!r}")
    return int(field)


def _name(header: bytes, content: Extent, table: bytes, workspace: Workspace) -> tuple[str, Extent]:
    raw = header[:16].rstrip(b" ")
    if raw.startswith(b"#1/") and raw[3:].isdigit():
        length = int(raw[3:])
        if length > workspace.limits.name_bytes:
            raise HostileInput(f"an ar member's name is longer than {workspace.limits.name_bytes} bytes")
        return text_of(content.read(0, length).rstrip(b"\0")), content.part(length, content.size - length)
    if raw[:1] == b"/" and raw[1:].isdigit():
        raw = _from_table(table, int(raw[1:]), workspace.limits.name_bytes)
    elif raw not in {b"/", b"//"}:
        raw = raw.removesuffix(b"/")
    if not raw:
        raise HostileInput("an ar member without a name")
    return text_of(raw), content


def _from_table(table: bytes, offset: int, limit: int) -> bytes:
    end = table.find(b"\n", offset)
    if offset >= len(table) or end < 0 or end - offset > limit:
        raise HostileInput("an ar member's name is not in the table of long names")
    return table[offset:end].removesuffix(b"/")


def _style(header: bytes, name: str, padding: bytes) -> str:
    """Tell what is lost when a name and its padding are read: empty for a short name as dpkg-deb writes it."""
    raw = text_of(header[:16].rstrip(b" "))
    return ("" if raw == name else f"name {raw}") + ("" if padding == b"\n" else f" padding {padding.hex()}")


def _attributes(header: bytes, style: str) -> Attributes:
    fields = (
        (Attribute.MTIME, header[16:28], _DECIMAL),
        (Attribute.OWNER, header[28:34], _DECIMAL),
        (Attribute.GROUP, header[34:40], _DECIMAL),
        (Attribute.MODE, header[40:48], _OCTAL),
    )
    for key, value, pattern in fields:
        if not pattern.match(value):
            raise HostileInput(f"an ar member's {key} is not a number: {value!r}")
    plain = tuple((str(key), value.strip().decode("ascii")) for key, value, _ in fields)
    return (*plain, (Attribute.ENCODING, style))
