"""How small and how large a setting may be: beyond it, an engine, a kernel or a clock would refuse it far too late."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import timedelta

from rebuilder.model.quantity import write_duration, write_size

MIB = 1024**2
MOST_BYTES = 1024**5
MOST_SECONDS = 3650 * 86400


def between(least: float, most: float) -> Callable[[float], None]:
    """Make a check of a number, both ends allowed."""

    def check(value: float) -> None:
        if not (math.isfinite(value) and least <= value <= most):
            raise ValueError(f"expected {least:g} to {most:.10g}, found {value}")

    return check


def size(least: int = 1, most: int = MOST_BYTES) -> Callable[[int], None]:
    """Make a check of a size in bytes."""

    def check(value: int) -> None:
        if not least <= value <= most:
            raise ValueError(f"expected {write_size(least)} to {write_size(most)}, found {write_size(value)}")

    return check


def seconds(value: float) -> None:
    """Check a length of time in seconds: more than none, at most ten years."""
    if not 0 < value <= MOST_SECONDS:
        raise ValueError(f"expected more than 0 s and at most {write_duration(MOST_SECONDS)}, found {value} s")


def age(value: timedelta) -> None:
    """Check how long ago something may be: at most a hundred years, which every clock can count back."""
    if value > timedelta(days=36500):
        raise ValueError(f"expected at most 36500 d, found {value.days} d")
