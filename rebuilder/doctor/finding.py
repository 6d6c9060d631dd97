"""What an examination of this machine finds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Condition(StrEnum):
    """How one thing stands. The values are the words that are printed and written."""

    OK = "ok"
    WARN = "warn"
    """Something will be slower, poorer or less sure; a verification still works."""
    MISSING = "missing"
    """A verification cannot work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    name: str
    condition: Condition
    found: str
    """What is there, in one line."""
    purpose: str
    """What it is for."""
    remedy: str | None = None
    """How to get it; None when nothing needs doing."""
