"""Two texts, line by line, in time that is linear in their size."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from rebuilder.compare.tokens import Mask, explain_line
from rebuilder.model.cause import Cause, in_reporting_order

TEXT_LIMIT_BYTES = 4 * 1024**2
_LINES = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class TextChange:
    """How one text became another."""

    causes: tuple[Cause, ...]
    """What explains every changed line; empty where something remains unexplained."""
    lines: int
    first: tuple[str, str]
    """The first changed line of both; empty text where one has no such line."""
    only_comments: bool


def decode(data: bytes) -> str | None:
    """Return the text that bytes are, or None when they are none."""
    if b"\0" in data:
        return None
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return None


def change_of(reference: str, rebuilt: str, also: tuple[Mask, ...] = ()) -> TextChange:
    """Say what changed between two texts that are not equal."""
    old, new = _changed_part(reference.split("\n"), rebuilt.split("\n"))
    pairs = [(one, other) for one, other in zip(old, new, strict=False) if one != other]
    first = pairs[0] if pairs else ("".join(old[len(new) : len(new) + 1]), "".join(new[len(old) : len(old) + 1]))
    return TextChange(
        causes=in_reporting_order(_explain(old, new, pairs, also)),
        lines=max(_only(old, new), _only(new, old)) or len(pairs),
        first=first,
        only_comments=len(old) == len(new) and all(a.startswith("#") and b.startswith("#") for a, b in pairs),
    )


def _only(these: list[str], those: list[str]) -> int:
    """Count the lines that one list has more often than the other."""
    return (Counter(these) - Counter(those)).total()


def _changed_part(old: list[str], new: list[str]) -> tuple[list[str], list[str]]:
    """Both lists without the lines at the beginning and at the end that they have in common."""
    start = 0
    while start < min(len(old), len(new)) and old[start] == new[start]:
        start += 1
    end = 0
    while end < min(len(old), len(new)) - start and old[-1 - end] == new[-1 - end]:
        end += 1
    return old[start : len(old) - end], new[start : len(new) - end]


def _explain(old: list[str], new: list[str], pairs: list[tuple[str, str]], also: tuple[Mask, ...]) -> frozenset[Cause]:
    if len(old) != len(new) or len(old) > _LINES:
        return frozenset()
    causes: set[Cause] = set()
    for reference, rebuilt in pairs:
        explained = explain_line(reference, rebuilt, also)
        if explained is None:
            in_other_order = sorted(old) == sorted(new)
            return frozenset({Cause.FILE_ORDER}) if in_other_order else frozenset()
        causes |= explained
    return frozenset(causes)
