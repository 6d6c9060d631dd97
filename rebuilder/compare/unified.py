"""Unified diffs as diffoscope writes them: which lines became which, dumps of bytes turned back into strings."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_HEX = re.compile(r"^ *(?:0x[0-9a-f]{4,16} |[0-9a-f]{7,16}: )((?:[0-9a-f]{2,8} ){1,16})")
"""A line of `readelf --hex-dump` or `xxd`."""
_OFFSET = re.compile(r"^ *\[ *[0-9a-f]{1,16}\] {1,4}")
"""What `readelf --string-dump` puts before each string: it moves when an earlier string grows."""
_STRING = re.compile(rb"[\x20-\x7e\t]{4,}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Lines, or strings, that one side has and the other has not, in order."""

    removed: tuple[str, ...]
    added: tuple[str, ...]

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """What became what; empty when it cannot be told, for both sides have not equally many."""
        return tuple(zip(self.removed, self.added, strict=True)) if len(self.removed) == len(self.added) else ()

    @property
    def size(self) -> int:
        """How many lines changed."""
        return max(len(self.removed), len(self.added))


def changes(diff: str) -> Iterator[Change]:
    """Yield each stretch of changed lines; a hunk of a dump is one stretch of the strings in its bytes."""
    for hunk in _hunks(diff.split("\n")):
        if all(_HEX.match(line[1:]) for line in hunk if line[:1] in {"+", "-"}):
            yield _of_strings(_strings(hunk, "-"), _strings(hunk, "+"))
        else:
            yield from _of_lines(hunk)


def _hunks(lines: Iterable[str]) -> Iterator[list[str]]:
    hunk: list[str] = []
    for line in lines:
        if line.startswith("@@"):
            if hunk:
                yield hunk
            hunk = []
        elif line[:1] in {" ", "+", "-"}:
            hunk.append(line)
    if hunk:
        yield hunk


def _of_lines(hunk: list[str]) -> Iterator[Change]:
    removed: list[str] = []
    added: list[str] = []
    for line in [*hunk, " "]:
        if line[0] == " " or (line[0] == "-" and added):
            if removed or added:
                yield _of_strings(removed, added)
            removed, added = [], []
        if line[0] == "-":
            removed.append(_OFFSET.sub("", line[1:]))
        elif line[0] == "+":
            added.append(_OFFSET.sub("", line[1:]))


def _of_strings(removed: list[str], added: list[str]) -> Change:
    """Leave aside what both sides have: what merely moved in a dump, or in the count before it."""
    here, there = set(removed), set(added)
    return Change(
        removed=tuple(line for line in removed if line not in there) if here != there else tuple(removed),
        added=tuple(line for line in added if line not in here) if here != there else tuple(added),
    )


def _strings(hunk: list[str], side: str) -> list[str]:
    """Return the printable strings in the bytes that one side's lines of a dump show."""
    found = bytearray()
    for line in hunk:
        if line[0] in {" ", side} and (match := _HEX.match(line[1:])):
            digits = match[1].replace(" ", "")
            found += bytes.fromhex(digits[: len(digits) // 2 * 2])
    return [text.decode("ascii") for text in _STRING.findall(found)]
