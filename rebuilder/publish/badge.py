"""Badges: our own SVG, which tells no third party who looks at it, and the JSON of the shields endpoint.

The endpoint's schema is strict: https://shields.io/badges/endpoint-badge refuses keys it does not know.
"""

from __future__ import annotations

import json
from typing import assert_never

from rebuilder.model.verdict import Verdict
from rebuilder.publish.templates import render
from rebuilder.publish.word import Word

LABEL = "independent rebuild"
CACHE_SECONDS = 3600

_HEIGHT = 20
_PADDING = 7
_ICON = 15
_WIDE = frozenset("mwMW")
_NARROW = frozenset("ijlrtfI.,:;' -")


def colour(said: Verdict | Word) -> str:
    """Return the background of a word: white text on it has a contrast of at least 4.5 (WCAG AA)."""
    match word := Word(said):
        case Word.REPRODUCED:
            return "1a7f37"
        case Word.EQUIVALENT:
            return "0b7285"
        case Word.DIFFERENT:
            return "c92a2a"
        case Word.UNDECIDED:
            return "5c636a"
        case Word.WITHDRAWN:
            return "4b4f56"
        case _:
            assert_never(word)


def badge_json(said: Verdict | Word) -> bytes:
    """Say what `img.shields.io/endpoint?url=` reads."""
    badge = {
        "schemaVersion": 1,
        "label": LABEL,
        "message": said.value,
        "color": colour(said),
        "isError": Word(said) is Word.DIFFERENT,
        "cacheSeconds": CACHE_SECONDS,
    }
    return json.dumps(badge, indent=1).encode() + b"\n"


def badge_svg(said: Verdict | Word) -> bytes:
    """Make a self-contained picture: label, icon and word, so that the colour is never the only sign."""
    label, word = _text_width(LABEL), _text_width(said.value)
    left = label + 2 * _PADDING
    right = _ICON + word + 2 * _PADDING
    return render(
        "badge.svg.j2",
        label=LABEL,
        verdict=said,
        colour=colour(said),
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
