"""Two binary contents of one size: whether all that differs lies in printable strings, and is explained there."""

from __future__ import annotations

from rebuilder.compare.readers.extent import Extent
from rebuilder.compare.tokens import explain_line
from rebuilder.model.cause import Cause, in_reporting_order

SIZE_LIMIT_BYTES = 16 * 1024**2
_RUNS = 64
_REACH = 512
_PRINTABLE = frozenset(range(0x20, 0x7F)) | {0x09}


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


def _next_mismatch(old: bytes, new: bytes, start: int) -> int:
    """Find the next position at which both differ, by halving: comparisons of slices, not of bytes."""
    step = 64 * 1024
    while start < len(old) and old[start : start + step] == new[start : start + step]:
        start += step
    if start >= len(old):
        return len(old)
    length = min(step, len(old) - start)
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
