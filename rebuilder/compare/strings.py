"""Two binary contents: whether all that differs lies in printable strings, and is explained there."""

from __future__ import annotations

from dataclasses import dataclass

from rebuilder.compare.readers.extent import Extent
from rebuilder.compare.tokens import explain_line
from rebuilder.model.cause import Cause, in_reporting_order

SIZE_LIMIT_BYTES = 16 * 1024**2
_RUNS = 64
_REACH = 512
_ALIGNMENTS = (1, 2, 4, 8, 16, 32, 64)
_NOTHING: frozenset[Cause] = frozenset()
_PRINTABLE = frozenset(range(0x20, 0x7F)) | {0x09}


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """What explains two contents in which strings have other lengths."""

    causes: tuple[Cause, ...]
    """Empty where something remains unexplained."""
    moved: bool
    """Whether anything but padding lies elsewhere on one side than on the other."""


def explain_bytes(reference: Extent, rebuilt: Extent) -> tuple[Cause, ...]:
    """Return what explains every changed byte (a date, a path, …), or nothing where something remains."""
    if reference.size != rebuilt.size or reference.size > SIZE_LIMIT_BYTES:
        return ()
    old, new = reference.whole(SIZE_LIMIT_BYTES), rebuilt.whole(SIZE_LIMIT_BYTES)
    causes: set[Cause] = set()
    position = 0
    for _ in range(_RUNS):
        position = _next_mismatch(old, new, position)
        if position == len(old):
            return in_reporting_order(causes)
        run = _run(old, position)
        explained = explain_line(_text(old, run), _text(new, run)) if run == _run(new, position) else None
        if explained is None:
            return ()
        causes |= explained
        position = run[1]
    return ()


def explain_moved_strings(reference: Extent, rebuilt: Extent, *, alignment: int) -> Explained:
    """Explain two contents in which strings may have other lengths, so that what follows has moved.

    A string that changed ends with a zero on both sides and is explained as a line of text is. Besides only padding may
    differ: zeros up to one alignment (a power of two, at most that of the section), the same one on both sides, and
    only where strings have moved. All other bytes are equal, in the same order. Nothing where something remains.
    """
    remains = Explained(causes=(), moved=False)
    if max(reference.size, rebuilt.size) > SIZE_LIMIT_BYTES:
        return remains
    old, new = reference.whole(SIZE_LIMIT_BYTES), rebuilt.whole(SIZE_LIMIT_BYTES)
    causes: set[Cause] = set()
    moved, here, there = False, 0, 0
    for _ in range(_RUNS):
        step = _next_mismatch(memoryview(old)[here:], memoryview(new)[there:], 0)
        at = here + step, there + step
        moved = moved or (here != there and bool(old[here : at[0]].strip(b"\0")))
        if at == (len(old), len(new)):
            return Explained(causes=in_reporting_order(causes), moved=moved)
        after = _after_padding((old, new), at, (here, there), alignment)
        if after is None:
            after, explained = _after_string((old, new), at)
            causes |= explained
        if after is None:
            return remains
        here, there = after
    return remains


def _after_string(
    contents: tuple[bytes, bytes], at: tuple[int, int]
) -> tuple[tuple[int, int] | None, frozenset[Cause]]:
    """Return where both go on behind a string that changed, and what explains it; None where nothing does."""
    runs = _run(contents[0], at[0]), _run(contents[1], at[1])
    begin_alike = at[0] - runs[0][0] == at[1] - runs[1][0]
    ended = all(content[run[1] : run[1] + 1] == b"\0" for content, run in zip(contents, runs, strict=True))
    explained = explain_line(_text(contents[0], runs[0]), _text(contents[1], runs[1]))
    if not begin_alike or not ended or explained is None:
        return None, _NOTHING
    return (runs[0][1], runs[1][1]), explained


def _after_padding(
    contents: tuple[bytes, bytes], at: tuple[int, int], since: tuple[int, int], alignment: int
) -> tuple[int, int] | None:
    """Return where both go on behind zeros of which one side has more; None where that is no padding."""
    shared = 0
    while shared < at[0] - since[0] and contents[0][at[0] - shared - 1] == 0:
        shared += 1
    starts = at[0] - shared, at[1] - shared
    stops = _stop(contents[0], at[0]), _stop(contents[1], at[1])
    zeros = stops[0] - starts[0], stops[1] - starts[1]
    if not shared or zeros[0] == zeros[1]:
        return None
    for unit in _ALIGNMENTS:
        rests = tuple(count - 1 - (-(start + 1) % unit) for count, start in zip(zeros, starts, strict=True))
        if unit <= alignment and rests[0] == rests[1] >= 0:
            return stops
    return None


def _stop(content: bytes, start: int) -> int:
    """Return where the zeros from `start` on end."""
    end = start
    while end < len(content) and content[end] == 0:
        end += 1
    return end


def _next_mismatch(old: bytes | memoryview, new: bytes | memoryview, start: int) -> int:
    """Find the next position at which both differ, by halving: comparisons of slices, not of bytes.

    Where one is shorter, its end is such a position.
    """
    step = 64 * 1024
    shared = min(len(old), len(new))
    old, new = old[:shared], new[:shared]
    while start < shared and old[start : start + step] == new[start : start + step]:
        start += step
    if start >= shared:
        return shared
    length = min(step, shared - start)
    while length > 1:
        half = length // 2
        if old[start : start + half] == new[start : start + half]:
            start, length = start + half, length - half
        else:
            length = half
    return start


def _run(data: bytes, position: int) -> tuple[int, int]:
    """Return the printable run around a position; empty when the byte there is not printable."""
    start = end = position
    while start > max(position - _REACH, 0) and data[start - 1] in _PRINTABLE:
        start -= 1
    while end < min(position + _REACH, len(data)) and data[end] in _PRINTABLE:
        end += 1
    return start, end


def _text(data: bytes, run: tuple[int, int]) -> str:
    return data[run[0] : run[1]].decode("ascii")
