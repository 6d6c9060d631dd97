"""md5sums of a .deb: a claim about data.tar, checked against data.tar, never believed.

A line that is right on both sides and differs follows its file: what removes the file's difference removes the line's.
A line that does not describe its file is a difference of its own that nothing removes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from rebuilder.compare.collector import Tally
from rebuilder.compare.differences import ChecksumFollows, ChecksumStale, OrderDiffers, Place, Side
from rebuilder.compare.readers.archive import shown, text_of
from rebuilder.compare.readers.extent import Extent, is_same
from rebuilder.compare.walk import Pair, Walk
from rebuilder.errors import HostileInput
from rebuilder.model.cause import Cause, in_reporting_order

_LIMIT_BYTES = 64 * 1024**2
_STRAY_LINES = 10_000
"""How many lines more than data.tar has files are looked at one by one."""
_LINE = re.compile(rb"([0-9a-f]{32})  ([^\n]{1,4096})\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """A file of data.tar whose content differs, and what was found about it."""

    reference: Extent
    rebuilt: Extent
    tally: Tally


def compare_md5sums(
    walk: Walk, pair: Pair, changed: dict[str, Changed], names: tuple[frozenset[str], frozenset[str]]
) -> None:
    """Compare two md5sums files, knowing which files of data.tar differ, and which are there (`names`) on each side."""
    try:
        old = _lines(pair.reference.whole(_LIMIT_BYTES), len(names[0]) + _STRAY_LINES)
        new = _lines(pair.rebuilt.whole(_LIMIT_BYTES), len(names[1]) + _STRAY_LINES)
    except HostileInput as error:
        if changed or not is_same(pair.reference, pair.rebuilt):
            walk.add_bytes(pair, not_opened=str(error))
        return
    for name, file in changed.items():
        _compare_line(walk, f"{pair.path}/{shown(name)}", (old.get(name), new.get(name)), file)
    for name in sorted(old.keys() | new.keys()):
        if name not in changed and name in old and name in new and old[name] != new[name]:
            _add_contradiction(walk, f"{pair.path}/{shown(name)}", old[name], new[name])
    _compare_order(walk, pair, list(old), list(new))
    for name in sorted(old.keys() ^ new.keys()):
        as_file = (name in names[0], name in names[1]) == (name in old, name in new)
        _add_lonely(walk, f"{pair.path}/{shown(name)}", (old.get(name), new.get(name)), as_file=as_file)


def _compare_line(walk: Walk, path: str, claims: tuple[str | None, str | None], file: Changed) -> None:
    sums = file.reference.md5(), file.rebuilt.md5()
    sides = ((Side.REFERENCE, claims[0], sums[0]), (Side.REBUILT, claims[1], sums[1]))
    stale = [(side, claim, actual) for side, claim, actual in sides if claim is not None and claim != actual]
    for side, claim, actual in stale:
        walk.collector.add(ChecksumStale(path=path, side=side, claimed=claim, actual=actual))
    if stale or claims[0] is None or claims[1] is None:
        return
    removed = next(iter(sorted(file.tally.removed_by, key=lambda one: one.name)), None)
    causes = in_reporting_order(file.tally.causes)
    walk.collector.add(
        ChecksumFollows(
            path=path,
            cause=causes[0] if causes else Cause.PAYLOAD_CHANGED,
            reference=sums[0],
            rebuilt=sums[1],
            removed_by=None if file.tally.remaining else removed,
        )
    )


def _add_contradiction(walk: Walk, path: str, old: str, new: str) -> None:
    """Equal files under two different sums: one of the two is wrong, whichever it is."""
    walk.collector.add(ChecksumStale(path=path, side=Side.REBUILT, claimed=new, actual=old))


def _compare_order(walk: Walk, pair: Pair, old: list[str], new: list[str]) -> None:
    both = set(old) & set(new)
    if [name for name in old if name in both] != [name for name in new if name in both]:
        walk.collector.add(OrderDiffers(path=pair.path, place=Place.NESTED, matters=False))


def _add_lonely(walk: Walk, path: str, claims: tuple[str | None, str | None], *, as_file: bool) -> None:
    """Note a line that only one side has: as it has the file, or although both have it or neither."""
    if as_file:
        follows = ChecksumFollows(
            path=path, cause=Cause.PAYLOAD_CHANGED, reference=claims[0], rebuilt=claims[1], removed_by=None
        )
        walk.collector.add(follows)
        return
    side = Side.REBUILT if claims[0] is not None else Side.REFERENCE
    walk.collector.add(ChecksumStale(path=path, side=side, claimed="nothing", actual=claims[0] or claims[1] or ""))


def _lines(data: bytes, most: int) -> dict[str, str]:
    """Names and sums, in order; raise HostileInput for what is not a list of at most so many of those."""
    if data and not data.endswith(b"\n"):
        raise HostileInput("md5sums does not end with a line end")
    if data.count(b"\n") > most:
        raise HostileInput(f"md5sums with more than {most} lines, far more than data.tar has files")
    sums: dict[str, str] = {}
    for line in data.split(b"\n")[:-1]:
        match = _LINE.match(line)
        if match is None or text_of(match[2]) in sums:
            raise HostileInput(f"md5sums with a malformed or repeated line {shown(text_of(line[:60]))}")
        sums[text_of(match[2])] = match[1].decode("ascii")
    return sums
