"""Hostile text made fit to be looked at: bounded, and with nothing in it that acts instead of being read.

HTML escaping is the template engine's part. What it leaves are characters that reorder, hide or end a line (Unicode
TR36, "Trojan Source"): each is shown by its number instead.
"""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime

_ACTING = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def visible(text: object, limit: int = 300) -> str:
    """One line, at most about `limit` characters; acting characters become `⟨U+202E⟩`."""
    return "".join(_shown(character) for character in _bounded(str(text), limit))


def visible_lines(text: object, limit: int = 64 * 1024) -> str:
    """As `visible`, with line ends and tabs kept."""
    return "".join(character if character in "\n\t" else _shown(character) for character in _bounded(str(text), limit))


def size(size_bytes: int) -> str:
    """Make a size for people: `512 B`, `1.4 MiB`."""
    value = float(size_bytes)
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} GiB"


def moment(time: datetime) -> str:
    """Make a time for people: `2026-11-24 06:17 UTC`."""
    return time.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def duration(started: datetime, finished: datetime) -> str:
    """`42 s`, `3 min 05 s`, `2 h 07 min`."""
    seconds = max(0, int((finished - started).total_seconds()))
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02d} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02d} min"


def plural(count: int, one: str, many: str | None = None) -> str:
    """`1 artifact`, `2 artifacts`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def _bounded(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    head = limit * 2 // 3
    return f"{text[:head]} … ({len(text) - limit:,} characters left out) … {text[head - limit :]}"


def _shown(character: str) -> str:
    if unicodedata.category(character) in _ACTING:
        return f"⟨U+{ord(character):04X}⟩"
    return character
