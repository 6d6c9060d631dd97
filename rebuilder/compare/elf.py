"""The parts of an ELF file: header, tables, sections, and the bytes outside all of them.

Specification: System V ABI, generic edition, chapters 4 and 5 (ELF header, sections, program header). Sizes and counts
are bounded; whatever is unusual (extended numbering, tables outside the file) is HostileInput, and the file is then
compared as bytes.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from rebuilder.compare.readers.archive import text_of
from rebuilder.compare.readers.extent import Extent
from rebuilder.errors import HostileInput

MAGIC = b"\x7fELF"
NOBITS, NOTE, PROGBITS = 8, 7, 1
WRITE, ALLOC, EXECUTABLE = 0x1, 0x2, 0x4
_SECTIONS = 0xFEFF
_NAMES_LIMIT_BYTES = 1024**2


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One row of the section header table."""

    name: str
    type: int
    flags: int
    address: int
    offset: int
    size: int
    link: int
    info: int
    alignment: int
    entry_size: int

    @property
    def stored(self) -> int:
        """How many bytes of the file it takes."""
        return 0 if self.type == NOBITS else self.size

    @property
    def is_loaded(self) -> bool:
        """Whether it is in memory when the program runs."""
        return bool(self.flags & ALLOC)

    @property
    def is_constant(self) -> bool:
        """Whether it is read-only data of a running program: never code, never what a program writes to."""
        return self.type == PROGBITS and self.flags & (WRITE | ALLOC | EXECUTABLE) == ALLOC

    @property
    def shape(self) -> tuple[int, ...]:
        """Everything but where it lies in the file and how long it is."""
        return (self.type, self.flags, self.address, self.link, self.info, self.alignment, self.entry_size)


@dataclass(frozen=True, slots=True, kw_only=True)
class Elf:
    """An ELF file, taken apart."""

    extent: Extent
    order: str
    """`<` or `>`, as `struct` writes byte order."""
    header: bytes
    """Without the offset of the section header table, which is layout."""
    programs: tuple[int, int]
    """Offset and size of the program header table."""
    table: tuple[int, int]
    """Offset and size of the section header table."""
    sections: tuple[Section, ...]

    def content(self, section: Section) -> Extent:
        """Return the bytes of a section."""
        return self.extent.part(section.offset, section.stored)

    def gaps(self) -> list[tuple[int, int]]:
        """Return offset and size of each run of bytes that is in no section, header or table."""
        taken = [(0, len(self.header)), self.programs, self.table]
        taken += [(section.offset, section.stored) for section in self.sections if section.stored]
        gaps = []
        position = 0
        for offset, size in sorted(taken):
            if offset > position:
                gaps.append((position, offset - position))
            position = max(position, offset + size)
        if position < self.extent.size:
            gaps.append((position, self.extent.size - position))
        return gaps


def parse_elf(extent: Extent) -> Elf:
    """Take a file apart; raise HostileInput for what is no ELF file of the usual kind."""
    ident = extent.read(0, 16)
    if ident[:4] != MAGIC or ident[4] not in {1, 2} or ident[5] not in {1, 2}:
        raise HostileInput("not an ELF file of a known class and byte order")
    wide, order = ident[4] == 2, "<" if ident[5] == 1 else ">"
    layout = struct.Struct(order + ("2HI3QI6H" if wide else "2HI3II6H"))
    raw = extent.read(0, 16 + layout.size)
    fields = layout.unpack(raw[16:])
    programs_at, table_at = fields[4], fields[5]
    program_size, program_count, row_size, count, names = fields[8:13]
    row = struct.Struct(order + ("2I4Q2I2Q" if wide else "10I"))
    if count == 0 or count > _SECTIONS or row_size != row.size or names >= count:
        raise HostileInput("an ELF file without a section table, or with an unusual one")
    extent.part(programs_at, program_size * program_count)
    table = extent.read(table_at, count * row.size)
    rows = [row.unpack_from(table, row.size * index) for index in range(count)]
    strings = _strings(extent, rows[names])
    width = 8 if wide else 4
    offset_field = 16 + struct.calcsize(order + ("2HI2Q" if wide else "2HI2I"))
    return Elf(
        extent=extent,
        order=order,
        header=raw[:offset_field] + bytes(width) + raw[offset_field + width :],
        programs=(programs_at, program_size * program_count),
        table=(table_at, len(table)),
        sections=tuple(_section(extent, values, strings) for values in rows),
    )


def _strings(extent: Extent, values: tuple[int, ...]) -> bytes:
    return extent.part(values[4], values[5]).whole(_NAMES_LIMIT_BYTES)


def _section(extent: Extent, values: tuple[int, ...], strings: bytes) -> Section:
    end = strings.find(b"\0", values[0])
    if end < 0 or end - values[0] > 4096:
        raise HostileInput("an ELF section's name lies outside the table of names")
    section = Section(
        name=text_of(strings[values[0] : end]),
        type=values[1],
        flags=values[2],
        address=values[3],
        offset=values[4],
        size=values[5],
        link=values[6],
        info=values[7],
        alignment=values[8],
        entry_size=values[9],
    )
    if section.stored:
        extent.part(section.offset, section.stored)
    return section
