"""Whether two ELF files differ in nothing but their build-id and the debuglink that follows from it.

1. Both have the same size, and at most one `.note.gnu.build-id` and one `.gnu_debuglink` each, at the same place.
2. The note is exactly one GNU build-id note (System V note layout: name `GNU`, type 3) with an identifier of a usual
   size, in a section of type NOTE that is loaded read-only. Only the identifier is set aside.
3. The debuglink (GDB manual, "Separate Debug Files") is a name, zeros to a multiple of four, and a CRC, in a section
   that is never loaded. The name is equal on both sides, or on each side the one made of its build-id. Name and CRC
   are set aside.
4. Nothing that is set aside lies in another section, a header or a table.
5. Every other byte of both files is equal, whatever it belongs to.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from rebuilder.compare.elf import ALLOC, NOTE, PROGBITS, Elf, Section
from rebuilder.compare.readers.extent import is_same

NOTE_NAME, LINK_NAME = ".note.gnu.build-id", ".gnu_debuglink"
_IDENTIFIER_BYTES = frozenset({8, 16, 20, 32})
_NT_GNU_BUILD_ID = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAside:
    """What one file has that may differ: ranges of its bytes, and their values for a reader."""

    ranges: tuple[tuple[int, int], ...]
    identifier: str
    link: str | None
    checksum: str | None


def only_build_id_differs(old: Elf, new: Elf) -> tuple[SetAside, SetAside] | None:
    """Return what was set aside on both sides when all else is equal, or None."""
    if old.extent.size != new.extent.size:
        return None
    first, second = _set_aside(old), _set_aside(new)
    if first is None or second is None or first.ranges != second.ranges:
        return None
    if first.link != second.link and not (_is_derived(first) and _is_derived(second)):
        return None
    return (first, second) if _all_else_is_same(old, new, first.ranges) else None


def _set_aside(elf: Elf) -> SetAside | None:
    notes = [section for section in elf.sections if section.name == NOTE_NAME]
    links = [section for section in elf.sections if section.name == LINK_NAME]
    if len(notes) != 1 or len(links) > 1:
        return None
    identifier = _identifier(elf, notes[0])
    if identifier is None:
        return None
    ranges = [(notes[0].offset + 16, notes[0].offset + notes[0].size)]
    link = checksum = None
    if links:
        parsed = _debuglink(elf, links[0])
        if parsed is None:
            return None
        link, checksum = parsed
        ranges.append((links[0].offset, links[0].offset + links[0].size))
    if any(_overlaps(elf, begin, end) for begin, end in ranges):
        return None
    return SetAside(ranges=tuple(sorted(ranges)), identifier=identifier, link=link, checksum=checksum)


def _identifier(elf: Elf, section: Section) -> str | None:
    size = section.size - 16
    if section.type != NOTE or section.flags != ALLOC or size not in _IDENTIFIER_BYTES:
        return None
    data = elf.content(section).read(0, section.size)
    expected = struct.pack(elf.order + "3I", 4, size, _NT_GNU_BUILD_ID) + b"GNU\0"
    return data[16:].hex() if data[:16] == expected else None


def _debuglink(elf: Elf, section: Section) -> tuple[str, str] | None:
    if section.type != PROGBITS or section.flags or not 8 <= section.size <= 512:
        return None
    data = elf.content(section).read(0, section.size)
    name, _, rest = data[:-4].partition(b"\0")
    padded = -(-(len(name) + 1) // 4) * 4
    if padded != len(data) - 4 or rest.strip(b"\0") or not name.isascii():
        return None
    return name.decode("ascii"), data[-4:].hex()


def _is_derived(aside: SetAside) -> bool:
    return aside.link == f"{aside.identifier[2:]}.debug"


def _overlaps(elf: Elf, begin: int, end: int) -> bool:
    """Whether a range that is set aside also belongs to something else than its own section."""
    owned = [(s.offset, s.stored) for s in elf.sections if s.stored and s.name not in {NOTE_NAME, LINK_NAME}]
    owned += [(0, len(elf.header)), elf.programs, elf.table]
    return any(offset < end and begin < offset + size for offset, size in owned)


def _all_else_is_same(old: Elf, new: Elf, ranges: tuple[tuple[int, int], ...]) -> bool:
    position = 0
    for begin, end in (*ranges, (old.extent.size, old.extent.size)):
        size = begin - position
        if size < 0 or not is_same(old.extent.part(position, size), new.extent.part(position, size)):
            return False
        position = end
    return True
