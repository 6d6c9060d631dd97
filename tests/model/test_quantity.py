"""Sizes and durations as people write them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from rebuilder.model.quantity import parse_duration, parse_size, render_duration, render_size


@pytest.mark.parametrize(
    ("text", "size"),
    [("20 GiB", 20 * 1024**3), ("512MiB", 512 * 1024**2), ("1.5 GB", 1_500_000_000), ("7 B", 7), ("2tib", 2 * 1024**4)],
)
def test_a_size_is_read_with_its_unit(text: str, size: int) -> None:
    """Binary and decimal units are told apart; case and space do not matter."""
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "20", "GiB", "-1 GiB", "1e9 B", "20 GiBs", "9" * 400 + " B"])
def test_a_size_without_sense_is_refused(text: str) -> None:
    """A bare number is not a size: its unit would be a guess."""
    with pytest.raises(ValueError, match="expected a size"):
        parse_size(text)


def test_durations_are_read_and_bounded() -> None:
    """Seconds to weeks; what cannot be counted is refused as a ValueError."""
    assert parse_duration("30 d") == timedelta(days=30)
    assert parse_duration("1.5h") == timedelta(minutes=90)
    with pytest.raises(ValueError, match="longer than can be counted"):
        parse_duration("999999999999 w")


def test_quantities_are_written_for_people() -> None:
    """One decimal, the unit that keeps the number small."""
    assert [render_size(n) for n in (17, 1024, 3 * 1024**3, 1024**5)] == ["17 B", "1.0 KiB", "3.0 GiB", "1024.0 TiB"]
    assert [render_duration(s) for s in (4.23, 65, 7380)] == ["4.2 s", "1 min 05 s", "2 h 03 min"]
