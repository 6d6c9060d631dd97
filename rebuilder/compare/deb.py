"""Two .debs: the ar layer, then data.tar, then control.tar with what it claims about data.tar (deb(5))."""

from __future__ import annotations

from dataclasses import replace

from rebuilder.compare.contents import compare_contents, compare_plain
from rebuilder.compare.control import compare_control
from rebuilder.compare.differences import AttributeDiffers, CompressionDiffers, Place
from rebuilder.compare.md5sums import Changed, compare_md5sums
from rebuilder.compare.members import compare_attributes, compare_members
from rebuilder.compare.readers.archive import Archive, ArchiveKind, Attribute, Attributes, Member, MemberType
from rebuilder.compare.readers.deb import CONTROL, DATA
from rebuilder.compare.readers.detect import detect, read_archive
from rebuilder.compare.readers.extent import Extent, is_same
from rebuilder.compare.readers.tar import read_tar
from rebuilder.compare.readers.workspace import Workspace
from rebuilder.compare.walk import Compare, Pair, Walk
from rebuilder.errors import HostileInput

_PLACES = {CONTROL: Place.CONTROL, DATA: Place.DATA}

_SUFFIXES = {
    ArchiveKind.TAR: "",
    ArchiveKind.GZIP: ".gz",
    ArchiveKind.XZ: ".xz",
    ArchiveKind.ZSTD: ".zst",
    ArchiveKind.BZIP2: ".bz2",
    ArchiveKind.LZMA: ".lzma",
}

Unpacked = tuple[Attributes, Extent, Archive]
"""How a part was packed, the tar archive as bytes, and its members."""


class DebComparison:
    """Compares two .debs; remembers which files of data.tar differ, for md5sums to be checked against."""

    def __init__(self, walk: Walk) -> None:
        self._walk = walk
        self._parts: dict[str, Pair] = {}
        self._changed: dict[str, Changed] = {}
        self._claims: list[Pair] = []
        self._names: tuple[frozenset[str], frozenset[str]] = (frozenset(), frozenset())
        self._is_data_known = True

    def compare(self, pair: Pair, archives: tuple[Archive, Archive]) -> None:
        """Compare all layers; data.tar comes before control.tar, whatever the order in the files."""
        outside = replace(pair, place=Place.OUTSIDE)
        common = {member.name for member in archives[0].members} & {member.name for member in archives[1].members}
        old, new = (replace(archive, members=_by_stem(archive, common)) for archive in archives)
        compare_members(self._walk, outside, (old, new), self._outside)
        self._compare_names(outside, archives)
        names = {_stem(member.name): member.name for member in archives[0].members}
        if DATA in self._parts:
            self._compare_part(replace(self._parts[DATA], path=names[DATA]), Place.DATA, self._data)
        control = self._parts.get(CONTROL) or self._equal_control(outside, old)
        if control is not None:
            self._compare_part(replace(control, path=names[CONTROL]), Place.CONTROL, self._control)

    def _outside(self, walk: Walk, pair: Pair) -> None:
        """Keep the two parts for later; compare whatever else there is in the ar archive."""
        stem = _stem(pair.name)
        if stem in _PLACES and stem not in self._parts:
            self._parts[stem] = pair
        else:
            compare_contents(walk, pair)

    def _equal_control(self, pair: Pair, archive: Archive) -> Pair | None:
        """Return an equal control.tar where data.tar is not equal: its md5sums is checked all the same."""
        contents = [member.content for member in archive.members if _stem(member.name) == CONTROL and member.content]
        return pair.inside(CONTROL, contents[0], contents[0]) if contents and self._changed else None

    def _compare_names(self, pair: Pair, archives: tuple[Archive, Archive]) -> None:
        """Note a part that goes by another name where the name is not what its compression asks for.

        An honest change of compression shows in how the part is packed; dpkg chooses the decompressor by name.
        """
        for stem in _PLACES:
            old, new = ([m for m in archive.members if _stem(m.name) == stem] for archive in archives)
            names = ", ".join(m.name for m in old), ", ".join(m.name for m in new)
            if old and new and names[0] != names[1] and not all(_is_well_named(m, stem) for m in (*old, *new)):
                self._walk.collector.add(
                    AttributeDiffers(
                        path=stem,
                        place=pair.place,
                        type=MemberType.FILE,
                        attribute="name",
                        reference=names[0],
                        rebuilt=names[1],
                    )
                )

    def _compare_part(self, pair: Pair, place: Place, compare: Compare) -> None:
        try:
            old, new = self._walk.both(pair, _unpack)
        except HostileInput as error:
            self._walk.add_bytes(pair, not_opened=str(error))
            self._is_data_known = self._is_data_known and place is not Place.DATA
            return
        inside = replace(pair, place=place)
        if place is Place.DATA:
            self._names = _file_names(old[2]), _file_names(new[2])
        same_packed, same_unpacked = is_same(pair.reference, pair.rebuilt), is_same(old[1], new[1])
        with self._walk.collector.tally() as tally:
            compare_attributes(self._walk, pair, (old[0], new[0]), None)
            compare_members(self._walk, inside, (old[2], new[2]), compare)
            if place is Place.DATA:
                self._add_hard_links(old[2])
            if place is Place.CONTROL:
                self._check_claims(inside, (old[2], new[2]))
        if tally.total or same_packed:
            return
        if same_unpacked:
            values = f"{pair.reference.size} bytes packed", f"{pair.rebuilt.size} bytes packed"
            self._walk.collector.add(
                CompressionDiffers(path=pair.path, place=pair.place, reference=values[0], rebuilt=values[1])
            )
        else:
            self._walk.add_bytes(inside, not_opened="every member is equal, yet the bytes are not")

    def _data(self, walk: Walk, pair: Pair) -> None:
        with walk.collector.tally() as tally:
            compare_contents(walk, pair)
        name = pair.name.removeprefix("./")
        self._changed[name] = Changed(reference=pair.reference, rebuilt=pair.rebuilt, tally=tally)

    def _add_hard_links(self, archive: Archive) -> None:
        """Count a hard link to a changed file as changed: md5sums has a line for each of its names."""
        for member in archive.members:
            target = self._changed.get((member.attribute(Attribute.LINK) or "").removeprefix("./"))
            if member.type is MemberType.HARDLINK and target is not None:
                self._changed.setdefault(member.name.removeprefix("./"), target)

    def _control(self, walk: Walk, pair: Pair) -> None:
        match pair.name.removeprefix("./"):
            case "control":
                compare_control(walk, pair)
            case "md5sums":
                self._claims.append(pair)
            case _:
                compare_plain(walk, pair)

    def _check_claims(self, pair: Pair, archives: tuple[Archive, Archive]) -> None:
        """Check md5sums against data.tar, equal or not; as bytes where there are several, or data.tar is not known."""
        old, new = ([m for m in archive.members if _is_md5sums(m)] for archive in archives)
        is_one = len(old) == len(new) == 1
        if is_one and self._is_data_known and old[0].content is not None and new[0].content is not None:
            compare_md5sums(
                self._walk, pair.inside(old[0].name, old[0].content, new[0].content), self._changed, self._names
            )
            return
        for claim in self._claims:
            self._walk.add_bytes(claim, not_opened="it cannot be checked against data.tar")


def _file_names(archive: Archive) -> frozenset[str]:
    """Names that md5sums may have a line for: hard links have one each."""
    return frozenset(
        member.name.removeprefix("./")
        for member in archive.members
        if member.content is not None or member.type is MemberType.HARDLINK
    )


def _is_md5sums(member: Member) -> bool:
    return member.name.removeprefix("./") == "md5sums"


def _unpack(extent: Extent, workspace: Workspace) -> Unpacked:
    kind = detect(extent)
    if kind is None or not kind.is_compression:
        return (), extent, read_tar(extent, workspace)
    packed = read_archive(extent, kind, workspace)
    content = packed.members[0].content
    if content is None:
        raise HostileInput("a compressed stream without content")
    return packed.attributes, content, read_tar(content, workspace)


def _stem(name: str) -> str:
    return next((stem for stem in _PLACES if name.startswith(stem + ".")), name)


def _is_well_named(member: Member, stem: str) -> bool:
    kind = None if member.content is None else detect(member.content)
    return kind is not None and member.name == stem + _SUFFIXES.get(kind, "?")


def _by_stem(archive: Archive, common: set[str]) -> tuple[Member, ...]:
    """Give a part whose name says its compression, and differs from the other side's, the name that both share."""
    return tuple(m if m.name in common else replace(m, name=_stem(m.name)) for m in archive.members)
