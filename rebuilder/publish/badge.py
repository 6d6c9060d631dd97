"""Badges: our own SVG, which tells no third party who looks at it, and the JSON of the shields endpoint.

The endpoint's schema is strict: https://shields.io/badges/endpoint-badge refuses keys it does not know.
"""

from __future__ import annotations

import json
from typing import assert_never

from rebuilder.model.verdict import Verdict
from rebuilder.publish.templates import render

LABEL = "independent rebuild"
CACHE_SECONDS = 3600

_HEIGHT = 20
_PADDING = 7
_ICON = 15
_WIDE = frozenset("mwMW")
_NARROW = frozenset("ijlrtfI.,:;' -")


def colour(verdict: Verdict) -> str:
    """Return the background of a verdict's word: white text on it has a contrast of at least 4.5 (WCAG AA)."""
    match verdict:
        case Verdict.REPRODUCED:
            return "1a7f37"
        case Verdict.EQUIVALENT:
            return "0b7285"
        case Verdict.DIFFERENT:
            return "c92a2a"
        case Verdict.UNDECIDED:
            return "5c636a"
        case _:
            assert_never(verdict)


def badge_json(verdict: Verdict) -> bytes:
    """Say what `img.shields.io/endpoint?url=` reads."""
    badge = {
        "schemaVersion": 1,
        "label": LABEL,
        "message": verdict.value,
        "color": colour(verdict),
        "isError": verdict is Verdict.DIFFERENT,
        "cacheSeconds": CACHE_SECONDS,
    }
    return json.dumps(badge, indent=1).encode() + b"\n"


def badge_svg(verdict: Verdict) -> bytes:
    """Make a self-contained picture: label, icon and word, so that the colour is never the only sign."""
    label, word = _text_width(LABEL), _text_width(verdict.value)
    left = label + 2 * _PADDING
    right = _ICON + word + 2 * _PADDING
    return render(
        "badge.svg.j2",
        label=LABEL,
        verdict=verdict,
        colour=colour(verdict),
        height=_HEIGHT,
        width=left + right,
        left=left,
        right=right,
        label_x=_PADDING,
        label_width=label,
        icon_x=left + _PADDING - 1,
        word_x=left + _PADDING + _ICON,
        word_width=word,
    )


def _text_width(text: str) -> int:
    """About the width of a text in 11 px Verdana or DejaVu Sans; the picture then forces exactly this width."""
    return round(sum(_character_width(character) for character in text))


def _character_width(character: str) -> float:
    if character in _WIDE:
        return 9.6
    if character in _NARROW:
        return 4.4
    return 6.9
