from __future__ import annotations

import re
from importlib.resources import files

import pytest

STYLE = (files("rebuilder.publish") / "static" / "style.css").read_text()
VERDICTS = ("reproduced", "equivalent", "different", "undecided", "withdrawn")


def _palette(scheme: str) -> dict[str, str]:
    light, dark = re.findall(r":root \{(.*?)\}", STYLE, re.DOTALL)[:2]
    block = light if scheme == "light" else dark
    return dict(re.findall(r"--([\w-]+): #([0-9a-f]{6});", block))


def _luminance(colour: str) -> float:
    channels = [int(colour[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    linear = [value / 12.92 if value <= 0.03928 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: str, other: str) -> float:
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_on_every_ground(scheme: str) -> None:
    """WCAG AA: 4.5 to 1 for every colour of text on every colour it stands on, in both schemes."""
    palette = _palette(scheme)
    pairs = [(ink, ground) for ink in ("ink", "soft", "link") for ground in ("page", "panel", "sunk")]
    pairs += [(verdict, f"{verdict}-tint") for verdict in VERDICTS]
    pairs += [(verdict, ground) for verdict in VERDICTS for ground in ("page", "panel")]
    pairs += [("ink", f"{verdict}-tint") for verdict in VERDICTS]
    assert [(pair, scheme) for pair in pairs if _contrast(palette[pair[0]], palette[pair[1]]) < 4.5] == []


def test_no_line_of_crumbs_begins_with_a_slash() -> None:
    """The slash belongs to the name before it, so that a narrow screen breaks the line behind it."""
    assert '.crumbs li:not(:last-child)::after { content: "/";' in STYLE
    assert not re.search(r"\.crumbs[^{]*::before", STYLE)


def test_facts_break_between_words() -> None:
    """A cell grows to its longest word, up to the whole row, before a word is broken."""
    assert "max-width: 100%" in re.findall(r"\.facts div \{([^}]*)\}", STYLE)[0]
    assert ".facts dd { overflow-wrap: break-word; }" in STYLE


def test_the_style_sheet_fetches_nothing() -> None:
    """No font, no picture, no other sheet."""
    assert "url(" not in STYLE
    assert "@import" not in STYLE


def test_the_script_builds_no_markup() -> None:
    """Text goes in as text; nothing is evaluated, fetched or stored."""
    script = (files("rebuilder.publish") / "static" / "search.js").read_text()
    for word in (
        "innerHTML",
        "outerHTML",
        "insertAdjacent",
        "document.write",
        "eval",
        "fetch",
        "localStorage",
        "cookie",
    ):
        assert word not in script


def test_icons_are_as_large_as_the_words_beside_them() -> None:
    """The large icon is the hero's alone."""
    widths = re.findall(r"^ *([^{}\n]*\.icon) \{ width: ([^;]+);", STYLE, re.MULTILINE)
    assert [width for selector, width in widths if selector == ".icon"] == ["1.1em"]
    assert {selector for selector, _ in widths} == {".icon", ".hero > .icon"}
