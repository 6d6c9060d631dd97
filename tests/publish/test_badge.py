from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import jsonschema
import pytest

from rebuilder.model.verdict import Verdict
from rebuilder.publish.badge import badge_json, badge_svg, colour
from rebuilder.publish.word import Word

SHIELDS = {
    "type": "object",
    "additionalProperties": False,
    "required": ["schemaVersion", "label", "message"],
    "properties": {
        "schemaVersion": {"const": 1},
        "label": {"type": "string"},
        "message": {"type": "string", "minLength": 1},
        "color": {"type": "string", "pattern": "^[0-9a-f]{6}$"},
        "labelColor": {"type": "string"},
        "isError": {"type": "boolean"},
        "cacheSeconds": {"type": "integer", "minimum": 300},
    },
}
"""The endpoint's own rule, https://shields.io/badges/endpoint-badge: unknown keys are refused."""


@pytest.mark.parametrize("verdict", Word)
def test_the_endpoint_json_keeps_to_the_strict_schema(verdict: Word) -> None:
    """Only known keys with the right types, for every verdict."""
    badge = json.loads(badge_json(verdict))
    jsonschema.validate(badge, SHIELDS)
    assert badge["message"] == verdict.value
    assert badge["isError"] is (verdict is Word.DIFFERENT)


@pytest.mark.parametrize("verdict", Word)
def test_the_picture_is_self_contained_and_says_the_word(verdict: Word) -> None:
    """It is XML, draws itself without anything from elsewhere, and has its text for those who cannot see it."""
    data = badge_svg(verdict)
    svg = ET.fromstring(data)  # noqa: S314 - our own bytes
    texts = [element.text for element in svg.iter("{http://www.w3.org/2000/svg}text")]
    assert texts == ["independent rebuild", verdict.value]
    assert svg.attrib["aria-label"] == f"independent rebuild: {verdict.value}"
    assert b"href" not in data
    assert b"<script" not in data
    assert b"style" not in data


def _luminance(hexadecimal: str) -> float:
    channels = [int(hexadecimal[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    linear = [value / 12.92 if value <= 0.03928 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("verdict", Word)
def test_white_on_each_colour_has_enough_contrast(verdict: Word) -> None:
    """WCAG AA asks for 4.5 to 1."""
    assert 1.05 / (_luminance(colour(verdict)) + 0.05) >= 4.5


def test_each_word_has_a_colour_of_its_own() -> None:
    """No two verdicts look the same, and none like a withdrawal."""
    assert len({colour(word) for word in Word}) == len(Word)


@pytest.mark.parametrize("verdict", Verdict)
def test_a_verdict_is_a_word(verdict: Verdict) -> None:
    """Every verdict has its badge under its own name."""
    assert badge_svg(verdict) == badge_svg(Word(verdict))


def test_each_package_and_each_version_has_a_badge(published: Path) -> None:
    """The package's follows its newest version; an older version keeps its own."""
    package = published / "deb" / "libssh2"
    messages = [
        json.loads((directory / "badge.json").read_bytes())["message"]
        for directory in (package, package / "1.11.1-2", package / "1.11.1-1")
    ]
    assert messages == ["different", "different", "reproduced"]
    assert (package / "badge.svg").read_bytes() == badge_svg(Verdict.DIFFERENT)
