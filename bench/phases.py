"""Where the time of one run goes, by the progress lines that it writes where there is no terminal.

A line is `HH:MM:SS TARGET: PHASE: detail` (see rebuilder.cli.progress.PlainProgress); notes begin no phase.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

START = "start"
"""What precedes the first phase: interpreter and imports."""

_LINE = re.compile(r"[0-9:]{8} \S+: (?P<phase>[a-z]+)(?:: (?P<detail>.*))?\n?\Z")
_SPLIT = {
    "plan": (("build-dependencies", "dependencies"),),
    "environment": (("fetching", "fetch packages"), ("installing", "install")),
}
"""Phases of more than one act: how the detail begins, and what the act is called here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A phase began."""

    at_s: float
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A phase, and all the time that a run spent in it."""

    name: str
    seconds: float


def phase_of(line: str) -> str | None:
    """Say which phase a line of progress begins; None for any other line."""
    match = _LINE.match(line)
    if match is None or match["phase"] == "note":
        return None
    detail = match["detail"] or ""
    acts = _SPLIT.get(match["phase"], ())
    return next((act for beginning, act in acts if detail.startswith(beginning)), match["phase"])


def durations(marks: Sequence[Mark], end_s: float) -> tuple[Phase, ...]:
    """Add up each phase's time, in the order of their first beginning; empty when there were no marks."""
    if not marks:
        return ()
    spent: dict[str, float] = {START: marks[0].at_s}
    ends = [*(mark.at_s for mark in marks[1:]), end_s]
    for mark, until in zip(marks, ends, strict=True):
        spent[mark.name] = spent.get(mark.name, 0.0) + until - mark.at_s
    return tuple(Phase(name=name, seconds=seconds) for name, seconds in spent.items())
