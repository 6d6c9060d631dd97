"""Constants in which a date has another length are explained; code, and what else changed beside it, never is."""

from __future__ import annotations

from pathlib import Path

import pytest

from rebuilder.compare.explain import rule_of
from rebuilder.compare.files import compare_file
from rebuilder.compare.readers.workspace import Workspace
from rebuilder.compare.strings import Explained, explain_moved_strings
from rebuilder.model.cause import Cause
from rebuilder.model.comparison import ArtifactComparison
from rebuilder.model.verdict import Verdict
from rebuilder.world.process import run
from tests.compare.makers import elf_section, flipped

REMAINS = Explained(causes=(), moved=False)
SHORT, LONG = b"built on Jan 1 2024\0", b"built on November 24 2026\0"
SOURCE = """\
#include <stdio.h>
int later(int n) { return n + 2; }
const int table[3] = {0, 1, 7};
int main(int argc, char **argv) { puts("hello"); puts("built on " DATE); puts("and on"); return table[later(argc)]; }
"""


def explained(old: bytes, new: bytes, tmp_path: Path, alignment: int = 8) -> Explained:
    """Explain two contents as those of files."""
    with Workspace(None) as first, Workspace(None) as second:
        for path, data in ((tmp_path / "old", old), (tmp_path / "new", new)):
            path.write_bytes(data)
        return explain_moved_strings(first.open(tmp_path / "old"), second.open(tmp_path / "new"), alignment=alignment)


@pytest.mark.parametrize(
    ("old", "new", "moved"),
    [
        (b"\1\0\2\0" + SHORT + b"hi\0", b"\1\0\2\0" + LONG + b"hi\0", True),
        (SHORT, LONG, False),
        (SHORT + bytes(12) + b"\7\0\0\0", LONG + bytes(6) + b"\7\0\0\0", False),
        (SHORT + b"hi\0" + bytes(1) + b"\7\0\0\0", LONG + b"hi\0" + bytes(3) + b"\7\0\0\0", True),
        (SHORT + b"2025-01-01\0", LONG + b"26 Nov 2026\0", True),
    ],
)
def test_a_date_of_another_length(old: bytes, new: bytes, moved: bool, tmp_path: Path) -> None:  # noqa: FBT001 - a case
    """The date explains it; padding up to one alignment follows, and it is told whether anything else moved."""
    assert explained(old, new, tmp_path, 32) == Explained(causes=(Cause.BUILD_DATE,), moved=moved)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (SHORT + b"\1\2\3", LONG + b"\1\2\4"),
        (SHORT + b"\1\2\3", LONG + b"\1\2\3\4"),
        (SHORT + b"limit\0", LONG + b"other\0"),
        (SHORT + bytes(8) + b"\7", LONG + bytes(80) + b"\7"),
        (b"\1\0\0\0\7", b"\1\0\0\0\0\0\0\0\7"),
        (SHORT[:-1], LONG[:-1]),
        (SHORT[:-1] + b"\1", LONG[:-1] + b"\1"),
        (SHORT + b"\0\0\0\1\0\0\0\2", LONG + b"\0\0\0\0\0\0\0\1\0\0\0\2"),
        (b"", LONG),
    ],
)
def test_attack_a_change_beside_the_date(old: bytes, new: bytes, tmp_path: Path) -> None:
    """A byte, a table, zeros that are no padding, a string without end: something remains, so nothing is explained."""
    assert explained(old, new, tmp_path) == REMAINS


def test_many_changes_end_in_time(tmp_path: Path) -> None:
    """Only so many stretches are looked at."""
    assert explained(SHORT * 5000, LONG * 5000, tmp_path) == REMAINS


def programs(tmp_path: Path, *dates: str) -> list[Path]:
    """Compile one source with several dates."""
    (tmp_path / "a.c").write_text(SOURCE)
    paths = []
    for number, date in enumerate(dates):
        path = tmp_path / f"program{number}"
        define = f'-DDATE="{date}"'
        run(["gcc", "-O1", "-s", "-Wl,--build-id=none", define, "-o", str(path), str(tmp_path / "a.c")], timeout_s=60)
        paths.append(path)
    return paths


def compared(old: Path, new: Path) -> ArtifactComparison:
    """Compare two programs as bytes."""
    return compare_file(old, new, filename="program", rule=rule_of(old, new))


def test_a_program_with_a_longer_date(tmp_path: Path) -> None:
    """The section of constants names the date, the code that refers to moved constants stays payload-changed."""
    found = compared(*programs(tmp_path, "Jan 1 2024", "November 24 2026"))
    causes = {finding.path.rsplit("/", 1)[-1]: finding.cause for finding in found.findings}
    assert found.verdict is Verdict.DIFFERENT
    assert causes[".rodata"] is Cause.BUILD_DATE
    assert causes[".text"] is Cause.PAYLOAD_CHANGED
    assert found.causes[0] is Cause.PAYLOAD_CHANGED


def test_attack_a_changed_instruction_beside_a_date(tmp_path: Path) -> None:
    """One byte of code, hidden beside a date of another length or of the same: payload-changed."""
    old, new, *_ = programs(tmp_path, "Jan 11 2024", "Jan 12 2026")
    data = new.read_bytes()
    new.write_bytes(flipped(data, elf_section(data, ".text")[0] + 40))
    found = compared(old, new)
    causes = {finding.path.rsplit("/", 1)[-1]: finding.cause for finding in found.findings}
    assert causes == {".rodata": Cause.BUILD_DATE, ".text": Cause.PAYLOAD_CHANGED}
    assert found.causes == (Cause.PAYLOAD_CHANGED, Cause.BUILD_DATE)


def test_attack_constants_moved_under_code_that_stays(tmp_path: Path) -> None:
    """A longer date pushes a constant away from where unchanged code reads: that is a change of what the code does."""
    (old,) = programs(tmp_path, "2024-01-01 and more room")
    data = old.read_bytes()
    start, size = elf_section(data, ".rodata")
    content = data[start : start + size]
    longer = content.replace(b"2024-01-01 and", b"1 January 2024 and").rstrip(b"\0")
    assert len(longer) > len(content.rstrip(b"\0"))
    (tmp_path / "forged").write_bytes(
        data[:start] + (longer + bytes(size))[: max(size, len(longer))] + data[start + max(size, len(longer)) :]
    )
    found = compared(old, tmp_path / "forged")
    assert found.causes[0] is Cause.PAYLOAD_CHANGED
