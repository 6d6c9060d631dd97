from __future__ import annotations

from datetime import timedelta

import pytest

from rebuilder.publish.text import duration, plural, size, visible, visible_lines
from tests.publish.factory import DAY


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("safe\u202egpj.exe", "safe⟨U+202E⟩gpj.exe"),
        ("a\nb\x1b[31m", "a⟨U+000A⟩b⟨U+001B⟩[31m"),
        ("zero\u200bwidth", "zero⟨U+200B⟩width"),
        ("\ud800", "⟨U+D800⟩"),
        ("שלום café", "שלום café"),
    ],
)
def test_characters_that_act_are_shown_by_number(text: str, shown: str) -> None:
    """Trojan Source: what reorders, hides or ends a line is made visible; letters of any script stay."""
    assert visible(text) == shown


def test_long_text_keeps_both_ends_and_says_what_is_missing() -> None:
    """Nothing is truncated silently."""
    shown = visible("a" * 5_000 + "end", 30)
    assert shown == f"{'a' * 20} … (4,973 characters left out) … {'a' * 7}end"


def test_lines_are_kept_where_lines_are_shown() -> None:
    """A log keeps its line ends and loses its terminal sequences."""
    assert visible_lines("a\n\tb\x07") == "a\n\tb⟨U+0007⟩"


def test_numbers_for_people() -> None:
    """Sizes, times and counts have units."""
    assert [size(512), size(1536), size(3 * 1024**2), size(5 * 1024**4)] == [
        "512 B",
        "1.5 KiB",
        "3.0 MiB",
        "5120.0 GiB",
    ]
    spans = [timedelta(seconds=7), timedelta(seconds=185), timedelta(hours=2, minutes=7), timedelta(seconds=-1)]
    assert [duration(DAY, DAY + span) for span in spans] == ["7 s", "3 min 05 s", "2 h 07 min", "0 s"]
    assert [plural(1, "file"), plural(1200, "file")] == ["1 file", "1,200 files"]
