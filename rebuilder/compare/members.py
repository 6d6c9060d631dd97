"""Two containers, member by member: presence, order, attributes, content, and what belongs to no member."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from rebuilder.compare.differences import (
    AttributeDiffers,
    CompressionDiffers,
    OrderDiffers,
    PresenceDiffers,
    Side,
    StreamHeaderDiffers,
)
from rebuilder.compare.order import order_matters
from rebuilder.compare.readers.archive import Archive, Attribute, Attributes, Member, MemberType
from rebuilder.compare.readers.extent import Extent, is_same
from rebuilder.compare.walk import Compare, Pair, Walk, below
from rebuilder.errors import HostileInput

Key = tuple[str, int]
"""A member's name, and which of several with that name it is."""


def compare_members(walk: Walk, pair: Pair, archives: tuple[Archive, Archive], compare: Compare) -> None:
    """Compare two containers of one kind; `compare` is asked about each content that differs."""
    old, new = _keyed(archives[0].members), _keyed(archives[1].members)
    for key in (*old, *(key for key in new if key not in old)):
        if key in old and key in new:
            _compare_member(walk, pair, old[key], new[key], compare)
        else:
            _add_presence(walk, pair, old.get(key), new.get(key))
    common = [key for key in old if key in new]
    if common != [key for key in new if key in old]:
        matters = order_matters(archives[0].members) or order_matters(archives[1].members)
        walk.collector.add(OrderDiffers(path=pair.path, place=pair.place, matters=matters))
    compare_attributes(walk, pair, (archives[0].attributes, archives[1].attributes), None)


def compare_streams(walk: Walk, pair: Pair, archives: tuple[Archive, Archive], compare: Compare) -> None:
    """Compare two compressed streams of one format: how they are packed, then what they hold."""
    old, new = archives[0].members[0].content, archives[1].members[0].content
    if old is None or new is None:
        raise HostileInput("a compressed stream without content")
    with walk.collector.tally() as tally:
        compare_attributes(walk, pair, (archives[0].attributes, archives[1].attributes), None)
    if not is_same(old, new):
        compare(walk, pair.inside("content", old, new))
    elif not tally.total:
        _add_packing(walk, pair)


def compare_attributes(
    walk: Walk, pair: Pair, attributes: tuple[Attributes, Attributes], kind: MemberType | None
) -> None:
    """Add one difference for each attribute that is not the same on both sides."""
    old, new = _by_key(attributes[0]), _by_key(attributes[1])
    privileged = any(_is_privileged(values) for values in (old, new))
    for key in sorted(old.keys() | new.keys()):
        reference, rebuilt = old.get(key), new.get(key)
        if reference == rebuilt:
            continue
        if kind is None and key in {Attribute.PACKING, Attribute.HEADER}:
            shape = CompressionDiffers if key == Attribute.PACKING else StreamHeaderDiffers
            walk.collector.add(
                shape(path=pair.path, place=pair.place, reference=reference or "", rebuilt=rebuilt or "")
            )
            continue
        walk.collector.add(
            AttributeDiffers(
                path=pair.path,
                place=pair.place,
                type=kind,
                attribute=key,
                reference=reference,
                rebuilt=rebuilt,
                privileged=privileged,
            )
        )


def _keyed(members: Iterable[Member]) -> dict[Key, Member]:
    keyed: dict[Key, Member] = {}
    seen: dict[str, int] = {}
    for member in members:
        ordinal = seen.get(member.name, 0)
        seen[member.name] = ordinal + 1
        keyed[member.name, ordinal] = member
    return keyed


def _compare_member(walk: Walk, pair: Pair, old: Member, new: Member, compare: Compare) -> None:
    at = replace(pair, path=below(pair.path, old.name))
    if old.attributes != new.attributes:
        compare_attributes(walk, at, (old.attributes, new.attributes), new.type)
    if old.content is None or new.content is None:
        return
    same_packing = old.attribute(Attribute.PACKING) == new.attribute(Attribute.PACKING)
    if is_same(old.content, new.content) and (same_packing or old.unpack is None):
        return
    inside = replace(
        pair.inside(old.name, old.content, new.content), executable=_is_executable(old) or _is_executable(new)
    )
    try:
        contents = old.unpacked(), new.unpacked()
    except HostileInput as error:
        walk.add_bytes(inside, not_opened=str(error))
        return
    _compare_unpacked(walk, inside, contents, compare, same_packing=same_packing)


def _compare_unpacked(
    walk: Walk, inside: Pair, contents: tuple[Extent | None, Extent | None], compare: Compare, *, same_packing: bool
) -> None:
    old, new = contents
    if old is None or new is None:
        return
    if not is_same(old, new):
        compare(walk, replace(inside, reference=old, rebuilt=new))
    elif same_packing:
        _add_packing(walk, inside)


def _add_packing(walk: Walk, pair: Pair) -> None:
    """Note that equal content was packed to other bytes, with equal parameters as far as they show."""
    walk.collector.add(
        CompressionDiffers(
            path=pair.path,
            place=pair.place,
            reference=f"{pair.reference.size} bytes packed",
            rebuilt=f"{pair.rebuilt.size} bytes packed",
        )
    )


def _add_presence(walk: Walk, pair: Pair, old: Member | None, new: Member | None) -> None:
    member = old or new
    if member is None:
        return
    walk.collector.add(
        PresenceDiffers(
            path=below(pair.path, member.name),
            place=pair.place,
            only_in=Side.REFERENCE if old else Side.REBUILT,
            type=member.type,
            privileged=_is_privileged(_by_key(member.attributes)),
        )
    )


def _by_key(attributes: Attributes) -> dict[str, str]:
    """Join what has the same key, in order."""
    values: dict[str, str] = {}
    for key, value in attributes:
        values[key] = f"{values[key]}; {value}" if key in values else value
    return values


def _is_privileged(attributes: dict[str, str]) -> bool:
    mode = attributes.get(Attribute.MODE, "")
    return attributes.get(Attribute.TYPE) == MemberType.FILE and bool(mode) and bool(int(mode, 8) & 0o6000)


def _is_executable(member: Member) -> bool:
    mode = member.attribute(Attribute.MODE) or "0"
    return bool(int(mode or "0", 8) & 0o111)
