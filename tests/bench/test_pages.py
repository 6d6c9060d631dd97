"""Pages are composed of whole benchmarks: a part of them leaves a page as it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import __main__ as bench
from bench.report import Findings, Page, Row, merged, render
from tests.bench.setting import SETTING


def found(what: str) -> Findings:
    """One row, and a reason why another is missing."""
    row = Row(what=what, command="true", ours_s=1.0, theirs="", theirs_s=None, goal="", holds=None)
    return Findings(rows=[row], left_out=[(f"{what} elsewhere", "not here")])


@pytest.fixture
def pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Page, Page]:
    """Two pages, one of two benchmarks."""
    made = (
        Page(path=tmp_path / "one.md", title="One", names=("a", "b"), see="The other is two."),
        Page(path=tmp_path / "two.md", title="Two", names=("c",), see="The other is one."),
    )
    monkeypatch.setattr(bench, "PAGES", made)
    return made


def test_a_page_is_written_when_all_its_benchmarks_were_run(pages: tuple[Page, Page]) -> None:
    """A run of one half leaves the page of two as it is, and writes the other."""
    bench._write_pages({"a": found("first"), "c": found("third")}, SETTING)
    assert not pages[0].path.exists()
    assert pages[1].path.read_text().startswith("# Two\n")
    bench._write_pages({"a": found("first"), "b": found("second")}, SETTING)
    text = pages[0].path.read_text()
    assert "| first |" in text
    assert "| second |" in text
    assert "The other is two." in text
    assert "third" not in text


def test_every_benchmark_has_a_page() -> None:
    """The usual run is all of them, each on one page."""
    names = [name for page in bench.PAGES for name in page.names]
    assert len(set(names)) == len(names)
    assert ",".join(names) == bench.DEFAULT


def test_findings_are_put_together_in_their_order() -> None:
    """Rows and reasons of all come one after the other."""
    both = merged([found("first"), found("second")])
    assert [row.what for row in both.rows] == ["first", "second"]
    assert "first elsewhere: not here" in render(both, SETTING)
