"""Two contents of any kind: containers by their members, ELF by sections, text by lines, all else as bytes."""

from __future__ import annotations

from rebuilder.compare.causes import is_script
from rebuilder.compare.differences import Place, TextDiffers
from rebuilder.compare.elf import MAGIC
from rebuilder.compare.elf_compare import compare_elf
from rebuilder.compare.members import compare_members, compare_streams
from rebuilder.compare.readers.archive import ArchiveKind
from rebuilder.compare.readers.detect import detect, read_archive
from rebuilder.compare.readers.extent import is_same
from rebuilder.compare.strings import explain_bytes
from rebuilder.compare.texts import TEXT_LIMIT_BYTES, change_of, decode
from rebuilder.compare.tokens import VERSIONS, Mask
from rebuilder.compare.walk import Pair, Walk
from rebuilder.errors import HostileInput


def compare_contents(walk: Walk, pair: Pair) -> None:
    """Compare two contents; what cannot be opened within bounds is compared as bytes, and says so."""
    if is_same(pair.reference, pair.rebuilt):
        return
    kind = detect(pair.reference)
    if kind is None or kind is not detect(pair.rebuilt):
        try:
            _compare_leaf(walk, pair)
        except HostileInput as error:
            walk.add_bytes(pair, not_opened=str(error))
    elif pair.depth >= walk.reference.limits.depth:
        walk.add_bytes(pair, not_opened=f"more than {walk.reference.limits.depth} containers within containers")
    else:
        _compare_containers(walk, pair, kind)


_SHIPPED = 3
"""How deep a file of a package lies: .deb, data.tar's compression, tar."""


def _compare_containers(walk: Walk, pair: Pair, kind: ArchiveKind) -> None:
    try:
        if pair.depth > _SHIPPED:
            walk.reference.count_nested()
        archives = walk.both(pair, lambda extent, workspace: read_archive(extent, kind, workspace))
    except HostileInput as error:
        walk.add_bytes(pair, not_opened=str(error))
        return
    with walk.collector.tally() as tally:
        compare = compare_streams if kind.is_compression else compare_members
        compare(walk, pair, archives, compare_contents)
    if not tally.total:
        walk.add_bytes(pair, not_opened="every member is equal, yet the bytes are not")


def compare_plain(walk: Walk, pair: Pair) -> None:
    """Compare two contents as text or as bytes, whatever they may be: for what is read or run as it stands."""
    if not is_same(pair.reference, pair.rebuilt) and not _compare_text(walk, pair):
        walk.add_bytes(pair, causes=explain_bytes(pair.reference, pair.rebuilt))


def _compare_leaf(walk: Walk, pair: Pair) -> None:
    if pair.reference.head(4) == MAGIC == pair.rebuilt.head(4):
        compare_elf(walk, pair)
    else:
        compare_plain(walk, pair)


def _compare_text(walk: Walk, pair: Pair) -> bool:
    """Compare as text; answer whether both are."""
    if max(pair.reference.size, pair.rebuilt.size) > TEXT_LIMIT_BYTES:
        return False
    old, new = (decode(extent.whole(TEXT_LIMIT_BYTES)) for extent in (pair.reference, pair.rebuilt))
    if old is None or new is None:
        return False
    change = change_of(old, new, _extra_masks(pair))
    walk.collector.add(
        TextDiffers(
            path=pair.path,
            place=pair.place,
            causes=change.causes,
            lines=change.lines,
            reference=change.first[0],
            rebuilt=change.first[1],
            only_comments=change.only_comments,
            executable=pair.executable,
        )
    )
    return True


def _extra_masks(pair: Pair) -> tuple[Mask, ...]:
    name = pair.path.rsplit("/", 1)[-1]
    is_versions = pair.place is Place.CONTROL and name in {"shlibs", "symbols"} and not is_script(pair.path)
    return (VERSIONS,) if is_versions else ()
