"""Two ELF files: section by section, headers, and the bytes outside all sections."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from rebuilder.compare.differences import ElfRegionDiffers
from rebuilder.compare.elf import Elf, Section, parse_elf
from rebuilder.compare.elf_build_id import LINK_NAME, NOTE_NAME, SetAside, only_build_id_differs
from rebuilder.compare.readers.archive import shown
from rebuilder.compare.readers.extent import Extent, is_same
from rebuilder.compare.strings import Explained, explain_bytes, explain_moved_strings
from rebuilder.compare.walk import Pair, Walk
from rebuilder.errors import HostileInput
from rebuilder.model.cause import Cause

_BY_NAME = {
    NOTE_NAME: Cause.BUILD_ID,
    LINK_NAME: Cause.BUILD_ID,
    ".gnu_debugaltlink": Cause.BUILD_ID,
    ".note.go.buildid": Cause.BUILD_ID,
    ".comment": Cause.TOOLCHAIN_VERSION,
}
_BOOKKEEPING = frozenset({".shstrtab", ".symtab", ".strtab"})


def compare_elf(walk: Walk, pair: Pair) -> None:
    """Add one difference for each part of the file that is not the same."""
    try:
        old, new = parse_elf(pair.reference), parse_elf(pair.rebuilt)
    except HostileInput as error:
        walk.add_bytes(pair, not_opened=str(error))
        return
    aside = only_build_id_differs(old, new)
    if aside is not None:
        _add_build_id(walk, pair, *aside)
        return
    with walk.collector.tally() as tally:
        constants_moved = _compare_sections(walk, pair, old, new)
        _compare_frame(walk, pair, old, new, moved=bool(tally.total))
        if constants_moved and Cause.PAYLOAD_CHANGED not in tally.causes:
            detail = "constants lie elsewhere, and nothing that refers to them differs"
            walk.collector.add(_differs(pair, ".rodata", Cause.PAYLOAD_CHANGED, detail))
    if not tally.total:
        walk.add_bytes(pair, not_opened="no section and no header differs, yet the bytes do")


def _add_build_id(walk: Walk, pair: Pair, old: SetAside, new: SetAside) -> None:
    note = (NOTE_NAME, "the build-id differs", old.identifier, new.identifier)
    link = (LINK_NAME, "the debuglink differs", f"{old.link} {old.checksum}", f"{new.link} {new.checksum}")
    for name, what, *values in (note, link):
        if values[0] != values[1]:
            detail = f"{what}; all other bytes of the file are equal"
            walk.collector.add(
                replace(_differs(pair, name, Cause.BUILD_ID, detail, (values[0], values[1])), only_build_id=True)
            )


def _compare_sections(walk: Walk, pair: Pair, old: Elf, new: Elf) -> bool:
    """Compare each section; answer whether constants lie elsewhere because an explained string before them grew."""
    moved = False
    first, second = _keyed(old.sections), _keyed(new.sections)
    for key in (*first, *(key for key in second if key not in first)):
        one, other = first.get(key), second.get(key)
        if one is None or other is None:
            side = "reference" if other is None else "rebuilt"
            walk.collector.add(_differs(pair, key[0], Cause.PAYLOAD_CHANGED, f"a section that only the {side} has"))
        else:
            moved |= _compare_section(walk, pair, (old, one), (new, other))
    return moved


def _keyed(sections: tuple[Section, ...]) -> dict[tuple[str, int], Section]:
    keyed: dict[tuple[str, int], Section] = {}
    seen: dict[str, int] = {}
    for section in sections:
        ordinal = seen.get(section.name, 0)
        seen[section.name] = ordinal + 1
        keyed[section.name, ordinal] = section
    return keyed


def _compare_section(walk: Walk, pair: Pair, old: tuple[Elf, Section], new: tuple[Elf, Section]) -> bool:
    one, other = old[1], new[1]
    contents = old[0].content(one), new[0].content(other)
    cause, moved = None, False
    if not is_same(*contents):
        cause, detail, moved = _content_cause((one, other), contents)
        values = tuple(f"{content.size} bytes, {content.digest()}" for content in contents)
        walk.collector.add(_differs(pair, one.name, cause, detail, (values[0], values[1])))
    elif one.size != other.size:
        walk.collector.add(_differs(pair, one.name, Cause.PAYLOAD_CHANGED, "another size in memory"))
    if one.shape != other.shape and cause is not Cause.PAYLOAD_CHANGED:
        moved_only = replace(one, address=0, info=0, link=0).shape == replace(other, address=0, info=0, link=0).shape
        loaded = one.is_loaded or other.is_loaded
        cause = Cause.PAYLOAD_CHANGED if loaded or not moved_only else Cause.ARCHIVE_METADATA
        values = _shape(one), _shape(other)
        walk.collector.add(_differs(pair, one.name, cause, "another type, address or flags", values))
    return moved


def _content_cause(sections: tuple[Section, Section], contents: tuple[Extent, Extent]) -> tuple[Cause, str, bool]:
    """Name the cause of a section's change: by what it is for, by what differs in its strings, or as unexplained.

    The last value says whether what follows an explained string lies elsewhere.
    """
    known = _BY_NAME.get(sections[0].name)
    if known is not None:
        return known, "content differs", False
    explained = Explained(causes=explain_bytes(*contents), moved=False)
    if not explained.causes and _are_constants(sections):
        explained = explain_moved_strings(*contents, alignment=sections[0].alignment)
    if explained.causes:
        detail = f"content differs, all of it in {' and '.join(explained.causes)}"
        return explained.causes[0], detail, explained.moved
    return _unexplained(*sections), "content differs", False


def _are_constants(sections: tuple[Section, Section]) -> bool:
    """Whether both are read-only data: sections of code and of variables are never looked into for moved strings."""
    named = all(one.name == ".rodata" or one.name.startswith(".rodata.") for one in sections)
    return named and all(one.is_constant for one in sections) and sections[0].alignment == sections[1].alignment


def _shape(section: Section) -> str:
    links = f"links {section.link} {section.info}"
    return f"type {section.type}, flags {section.flags:#x}, address {section.address:#x}, {links}"


def _unexplained(old: Section, new: Section) -> Cause:
    """Names of sections and symbols that are not loaded are bookkeeping; all else counts as payload."""
    bookkeeping = old.name in _BOOKKEEPING and not old.is_loaded and not new.is_loaded
    return Cause.ARCHIVE_METADATA if bookkeeping else Cause.PAYLOAD_CHANGED


def _compare_frame(walk: Walk, pair: Pair, old: Elf, new: Elf, *, moved: bool) -> None:
    """Compare what is not in sections: the header, the program headers, where sections lie, and what lies between."""
    if old.header != new.header:
        walk.collector.add(_differs(pair, "header", Cause.PAYLOAD_CHANGED, "the ELF header differs"))
    tables = [elf.extent.part(*elf.programs) for elf in (old, new)]
    if not is_same(*tables):
        walk.collector.add(_differs(pair, "program headers", Cause.PAYLOAD_CHANGED, "another layout in memory"))
    if _gap_bytes(old) != _gap_bytes(new):
        walk.collector.add(
            _differs(pair, "outside sections", Cause.PAYLOAD_CHANGED, "bytes that belong to no section differ")
        )
    if not moved and [(s.name, s.offset) for s in old.sections] != [(s.name, s.offset) for s in new.sections]:
        walk.collector.add(
            _differs(pair, "section headers", Cause.ARCHIVE_METADATA, "sections lie elsewhere in the file")
        )


def _gap_bytes(elf: Elf) -> list[str]:
    """Digests of all gaps that hold more than zeros."""
    digests = []
    for offset, size in elf.gaps():
        hasher, empty = hashlib.sha256(), True
        for block in elf.extent.part(offset, size).blocks():
            hasher.update(block)
            empty = empty and not block.strip(b"\0")
        if not empty:
            digests.append(hasher.hexdigest())
    return digests


def _differs(
    pair: Pair, region: str, cause: Cause, detail: str, values: tuple[str | None, str | None] = (None, None)
) -> ElfRegionDiffers:
    return ElfRegionDiffers(
        path=f"{pair.path}/{shown(region)}",
        region=region,
        cause=cause,
        detail=detail,
        reference=values[0],
        rebuilt=values[1],
        only_build_id=False,
    )
