"""diffoscope's report is bounded from outside, cleaned up after, and honest about what it lacks."""

from __future__ import annotations

import json
import re
import signal
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from rebuilder.compare.diffoscope import WATCHED, ReportBounds, Reports, missing_tools, report_on
from rebuilder.compare.explain import explain
from rebuilder.compare.rule import BYTES, DEB
from rebuilder.errors import HostileInput, UnknownTarget
from rebuilder.model.cause import Cause
from rebuilder.model.verdict import Verdict
from rebuilder.world.process import run
from tests.compare.makers import ELF, elf_section, flipped, sample

NAME = "sample_1.0-1_amd64.deb"


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """Make two packages that differ in one line of one file."""
    other = sample().with_file("./usr/bin/tool", b"#!/bin/sh\necho two\n")
    return sample().write(tmp_path / "a.deb"), other.write(tmp_path / "b.deb")


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    """Make a directory for reports, which must be empty afterwards."""
    (tmp_path / "scratch").mkdir()
    return tmp_path / "scratch"


def _kinds(found: Reports) -> dict[str, bytes]:
    return {report.kind: report.data for report in found.reports}


def test_three_reports(pair: tuple[Path, Path], scratch: Path) -> None:
    """HTML, text and JSON say the same, under the artifact's name and without a path of this machine."""
    found = report_on(*pair, filename=NAME, bounds=ReportBounds(scratch=scratch))
    reports = _kinds(found)
    assert set(reports) == {"diffoscope-html", "diffoscope-text", "diffoscope-json"}
    assert b"-echo one" in reports["diffoscope-text"]
    assert json.loads(reports["diffoscope-json"])["source1"] == f"reference/{NAME}"
    assert b"<script" not in reports["diffoscope-html"]
    assert not any(str(scratch).encode() in data for data in reports.values())
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize(
    ("bounds", "note"),
    [
        (ReportBounds(timeout_s=0.05), "did not end within"),
        (ReportBounds(memory_bytes=40 * 1024**2), "diffoscope (ended with status|was ended by signal)"),
        (ReportBounds(text_bytes=200), "text report is longer than 200 bytes and was cut"),
        (ReportBounds(json_bytes=20), "json report is longer than 20 bytes"),
    ],
)
def test_bounds_are_kept_and_said(pair: tuple[Path, Path], scratch: Path, bounds: ReportBounds, note: str) -> None:
    """Time, memory and size: each bound ends it or cuts it, leaves nothing behind, and is in the notes."""
    found = report_on(*pair, filename=NAME, bounds=replace(bounds, scratch=scratch))
    assert any(re.search(note, line) for line in found.notes), found.notes
    assert len(_kinds(found).get("diffoscope-text", b"")) <= bounds.text_bytes + 40
    assert list(scratch.iterdir()) == []


def test_no_file_grows_beyond_the_bound(tmp_path: Path, scratch: Path) -> None:
    """A member that unpacks to more than allowed is not unpacked, and the notes say so."""
    base = replace(sample(), preset=0).with_file("./usr/bin/tool", bytes(20 * 1024**2))
    pair = base.write(tmp_path / "a.deb"), base.with_entry("./usr/bin/tool", mode=0o700).write(tmp_path / "b.deb")
    found = report_on(*pair, filename=NAME, bounds=ReportBounds(scratch=scratch, disk_bytes=8 * 1024**2))
    assert "File too large" in found.notes[0]
    assert list(scratch.iterdir()) == []


def test_many_files_do_not_grow_beyond_the_bound(scratch: Path) -> None:
    """The watch ends the whole process group when the directory has grown too large, whatever wrote into it."""
    writer = "head -c 3000000 /dev/zero > a; head -c 3000000 /dev/zero > b; sleep 60"
    finished = run(["sh", "-c", WATCHED, "sh", "4000", "sh", "-c", writer], timeout_s=30, cwd=scratch)
    assert finished.status == -signal.SIGKILL


def test_without_diffoscope(pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing program is a note, not a failure."""
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    monkeypatch.setattr("rebuilder.compare.diffoscope.find", lambda _: None)
    assert report_on(*pair, filename=NAME) == Reports(
        reports=(), notes=("diffoscope is not installed: there is no report",)
    )
    assert missing_tools() == ()


def test_a_name_with_directories_is_refused(pair: tuple[Path, Path]) -> None:
    """The name in the report is a plain one."""
    with pytest.raises(HostileInput, match="not a plain file name"):
        report_on(*pair, filename="../x")


def test_missing_tools_are_listed() -> None:
    """It says which of its many programs are not here."""
    assert all(tool.strip() == tool for tool in missing_tools())


def test_explain_two_packages(tmp_path: Path) -> None:
    """A changed byte with stale md5sums: our answer names it, whatever diffoscope makes of it."""
    data = ELF.read_bytes()
    other = sample().with_file("./usr/bin/sample", flipped(data, elf_section(data, ".text")[0]))
    first = sample().write(tmp_path / "a.deb")
    second = replace(other, stale_md5sums=sample().md5sums).write(tmp_path / "b.deb")
    found = explain(first, second)
    assert found.rule == DEB.id
    assert found.comparison.verdict is Verdict.DIFFERENT
    assert found.comparison.causes[0] is Cause.PAYLOAD_CHANGED
    assert [digest for _, digest in found.comparison.reports] == [report.digest for report in found.reports]


def test_explain_equal_and_plain_files(tmp_path: Path) -> None:
    """Equal files need no report; two plain files are compared by bytes; a missing one is the person's mistake."""
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_text("one\n")
    second.write_text("two\n")
    assert explain(first, first).reports == ()
    found = explain(first, second)
    assert (found.rule, found.comparison.verdict) == (BYTES.id, Verdict.DIFFERENT)
    assert found.comparison.findings[0].path == "a"
    with pytest.raises(UnknownTarget, match="no such file"):
        explain(first, tmp_path / "c")
