"""How verdicts look to a person: a symbol, a word and a colour, so that none is needed to understand another."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import assert_never
from urllib.parse import unquote

from rebuilder.model.cause import Cause
from rebuilder.model.dossier import Dossier
from rebuilder.model.verdict import Verdict

UNTRUSTED_CAUSES = frozenset({Cause.UNTRUSTED_INPUT, Cause.STALE_INPUT})
"""Causes of `undecided` that mean: an input was refused."""


def symbol(verdict: Verdict | None, *, plain: bool = False) -> str:
    """One character for a verdict; `plain` for terminals without Unicode; None is the absence of an answer."""
    match verdict:
        case Verdict.REPRODUCED:
            return "=" if plain else "✔"
        case Verdict.EQUIVALENT:
            return "~" if plain else "≈"
        case Verdict.DIFFERENT:
            return "X" if plain else "✘"
        case Verdict.UNDECIDED:
            return "?"
        case None:
            return "!"
        case _:
            assert_never(verdict)


def colour(verdict: Verdict | None) -> str:
    """Style for a verdict."""
    match verdict:
        case Verdict.REPRODUCED:
            return "green"
        case Verdict.EQUIVALENT:
            return "cyan"
        case Verdict.DIFFERENT:
            return "bold red"
        case Verdict.UNDECIDED | None:
            return "yellow"
        case _:
            assert_never(verdict)


def short(target: str) -> str:
    """Write a canonical package URL as its shorthand where it has one; anything else as it is."""
    match = _SOURCE_PURL.match(target)
    if match is None:
        return target
    version = f"={unquote(match['version'])}" if match["version"] else ""
    return f"deb:{match['suite']}/{unquote(match['name'])}{version}"


_SOURCE_PURL = re.compile(
    r"pkg:deb/debian/(?P<name>[^@?/]+)(?:@(?P<version>[^?]+))?\?arch=source&distro=(?P<suite>[a-z0-9.-]+)\Z"
)


def exit_code(verdict: Verdict, causes: Iterable[Cause], *, accept_equivalent: bool) -> int:
    """Return the exit code of one answer: 0, 1, 3 or 4."""
    match verdict:
        case Verdict.REPRODUCED:
            return 0
        case Verdict.EQUIVALENT:
            return 0 if accept_equivalent else 1
        case Verdict.DIFFERENT:
            return 1
        case Verdict.UNDECIDED:
            return 3 if UNTRUSTED_CAUSES & set(causes) else 4
        case _:
            assert_never(verdict)


def code_of_result(dossier: Dossier, *, accept_equivalent: bool) -> int:
    """Return the exit code of one published result: its verdict's, and 3 where the compared bytes were refused."""
    if dossier.disowned:
        return 3
    return exit_code(dossier.verdict, dossier.causes, accept_equivalent=accept_equivalent)


_GRAVEST_FIRST = (130, 3, 4, 1, 2, 0)


def gravest(codes: Iterable[int]) -> int:
    """Return the exit code of several targets: the first that occurs of 3, 4, 1, 0.

    A target that cannot be (2) hides neither a difference nor a refusal, and is never hidden by success.
    """
    found = set(codes)
    return next((code for code in _GRAVEST_FIRST if code in found), 4)
