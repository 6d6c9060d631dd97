"""Both readings of a paragraph: the one expression takes nothing that the rules refuse, and nothing else from it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebuilder.errors import HostileInput, RebuilderError
from rebuilder.origins.debian.listing import Listed, listed
from tests.origins.debian.paragraphs import index

HONEST = {
    "Package": "demo",
    "Source": "demo-source (1:1.0-1)",
    "Version": "1:1.0-1+b1",
    "Essential": "yes",
    "Maintainer": "Zoë Nobody <nobody@archive.test>",
    "Architecture": "amd64",
    "Provides": "demo-2",
    "Description": "a package\n Size: of no file",
    "Section": "misc",
    "Filename": "pool/main/d/demo/demo_1.0-1+b1_amd64.deb",
    "Size": "7",
    "MD5sum": "0" * 32,
    "SHA256": "a" * 64,
}
WANTED: Listed = ("demo-source", "1:1.0-1", "amd64", "demo_1.0-1+b1_amd64.deb", "7", "a" * 64)
NASTY = (
    "",
    " ",
    "demo",
    "../x",
    "1.0-1",
    "x (1",
    "x (1)",
    "x  (1)",
    "é",
    "-1",
    "9" * 16,
    "A" * 64,
    "a" * 300,
    "a/b",
    ".",
)


def text_of(fields: dict[str, str]) -> str:
    """Write a paragraph."""
    return "".join(f"{name}: {value}\n" for name, value in fields.items())


def test_the_order_of_fields_does_not_matter(tmp_path: Path) -> None:
    """An archive may write them as it likes: then they are read one by one, with the same answer."""
    backwards = dict(reversed(HONEST.items()))
    assert list(listed(index(tmp_path, text_of(HONEST) + "\n" + text_of(backwards)))) == [WANTED, WANTED]


def read(path: Path, text: str) -> list[Listed] | type[RebuilderError]:
    """Read an index; an error of ours is an answer, too."""
    try:
        return list(listed(index(path, text)))
    except RebuilderError as error:
        return type(error)


@st.composite
def paragraphs(draw: st.DrawFn) -> str:
    """Spoil a paragraph here and there: values, order, fields that are missing or named twice."""
    spoilt = draw(st.dictionaries(st.sampled_from(sorted(HONEST)), st.sampled_from(NASTY), max_size=2))
    lines = [*(HONEST | spoilt).items()]
    if draw(st.booleans()):
        lines.remove(draw(st.sampled_from(lines)))
    if not draw(st.integers(0, 3)):
        lines.insert(draw(st.integers(0, len(lines))), draw(st.sampled_from(lines)))
    if not draw(st.integers(0, 3)):
        lines = draw(st.permutations(lines))
    return "".join(f"{name}: {value}\n" for name, value in lines)


@given(text=paragraphs())
def test_both_readings_agree(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A field before the first has every paragraph read field by field: nothing else is accepted, or taken from it."""
    path = tmp_path_factory.mktemp("listing")
    assert read(path, text) == (read(path, f"X-First: x\n{text}") if text else [])


@pytest.mark.parametrize("gap", ["\n", "\n\n\n"])
def test_paragraphs_are_parted_by_empty_lines(gap: str, tmp_path: Path) -> None:
    """However many; also before the first and after the last."""
    text = text_of(HONEST)
    assert list(listed(index(tmp_path, f"{gap}{text}{gap}{text}{gap}"))) == [WANTED, WANTED]


def test_an_index_is_longer_than_a_window(tmp_path: Path) -> None:
    """No paragraph is lost or read twice where one window ends and the next begins."""
    count = 9000
    found = list(listed(index(tmp_path, "\n".join(text_of(HONEST | {"Size": str(n)}) for n in range(count)))))
    assert [int(each[4]) for each in found] == list(range(count))


@pytest.mark.parametrize("name", ["Package", "Source", "Version", "Architecture", "Filename", "Size", "SHA256"])
def test_a_field_is_named_once(name: str, tmp_path: Path) -> None:
    """Which of two would count is nobody's to guess, not even where they agree."""
    with pytest.raises(HostileInput, match="names a field twice"):
        list(listed(index(tmp_path, text_of(HONEST) + f"{name}: {HONEST[name]}\n")))
