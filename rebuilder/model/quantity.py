"""Sizes and durations as people write and read them: `20 GiB`, `30 d`."""

from __future__ import annotations

import re
from datetime import timedelta

_QUANTITY = re.compile(r"\s*(\d{1,12}(?:\.\d{1,6})?)\s*([A-Za-z]*)\s*\Z")
_SIZE_UNITS = {
    "b": 1,
    "kb": 1000,
    "mb": 1000**2,
    "gb": 1000**3,
    "tb": 1000**4,
    "kib": 1024,
    "mib": 1024**2,
    "gib": 1024**3,
    "tib": 1024**4,
}
_SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def parse_size(text: str) -> int:
    """Read `20 GiB`, `512MiB`, `1.5 GB` or `4096 B` as bytes; raise ValueError for anything else, a bare number too."""
    return round(_scaled(text, _SIZE_UNITS, "a size such as 512 MiB or 20 GiB"))


def render_size(size_bytes: int) -> str:
    """Write a size for people, in binary units: `3.2 MiB`."""
    value = float(size_bytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(value) < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


def parse_duration(text: str) -> timedelta:
    """Read `90 s`, `10 min`, `2 h`, `30 d` or `4 w`; raise ValueError for anything else."""
    seconds = _scaled(text, _SECONDS, "a duration such as 90 s, 10 min, 2 h or 30 d")
    try:
        return timedelta(seconds=seconds)
    except OverflowError as error:
        raise ValueError(f"{text.strip()!r} is longer than can be counted") from error


def render_duration(seconds: float) -> str:
    """Write a duration for people: `4.2 s`, `1 min 05 s`, `2 h 03 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def write_size(size_bytes: int) -> str:
    """Write a size exactly, so that `parse_size` gives it back: `20 GiB`, `1500 B`."""
    unit = next(u for u in ("TiB", "GiB", "MiB", "KiB", "B") if size_bytes % _SIZE_UNITS[u.lower()] == 0)
    return f"{size_bytes // _SIZE_UNITS[unit.lower()]} {unit}"


def write_duration(seconds: int) -> str:
    """Write a duration exactly, so that `parse_duration` gives it back: `30 d`, `90 s`."""
    unit = next(u for u in ("d", "h", "min", "s") if seconds % _SECONDS[u] == 0)
    return f"{seconds // _SECONDS[unit]} {unit}"


def _scaled(text: str, units: dict[str, int], wanted: str) -> float:
    match = _QUANTITY.match(text)
    unit = units.get(match.group(2).lower()) if match else None
    if match is None or unit is None:
        raise ValueError(f"expected {wanted}, found {text[:40]!r}")
    return float(match.group(1)) * unit
