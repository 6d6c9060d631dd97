"""The machine is judged on what it has, by values handed in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rebuilder.config import load_settings
from rebuilder.doctor import machine
from rebuilder.doctor.finding import Condition, Finding

NOW = datetime(2026, 11, 24, tzinfo=UTC)
GIB = 1024**3


def disk(path: Path, *, least_bytes: int = 0, good_bytes: int = 0) -> Finding:
    """Judge a directory as `cache`."""
    return machine.examine_disk("cache", path, "downloads", least_bytes=least_bytes, good_bytes=good_bytes)


def test_old_interpreters_are_missing() -> None:
    """3.11 is the oldest that will do."""
    assert machine.examine_python((3, 11)).condition is Condition.OK
    assert machine.examine_python((3, 10)).condition is Condition.MISSING


def test_cages_are_required() -> None:
    """Without network namespaces nothing hostile may be read: that is missing, not merely worse."""
    assert machine.examine_cages(possible=True).condition is Condition.OK
    refused = machine.examine_cages(possible=False)
    assert refused.condition is Condition.MISSING
    assert "user namespaces" in (refused.remedy or "")


def test_without_root_a_range_of_ids_is_needed(tmp_path: Path) -> None:
    """A user whom subuid(5) gives no range cannot bootstrap an image: missing, with the command."""
    table = tmp_path / "subuid"
    assert machine.examine_subordinates("dev", table).condition is Condition.MISSING
    table.write_text("other:100000:65536\n")
    absent = machine.examine_subordinates("dev", table)
    assert absent.condition is Condition.MISSING
    assert "--add-subuids" in (absent.remedy or "")
    table.write_text("dev:100000:65536\n")
    assert machine.examine_subordinates("dev", table).condition is Condition.OK


@pytest.mark.parametrize(
    ("available", "condition"), [(8 * GIB, Condition.OK), (2 * GIB, Condition.WARN), (None, Condition.WARN)]
)
def test_memory_below_a_build_s_limit_warns(available: int | None, condition: Condition) -> None:
    """What is free is compared with what one build may take."""
    assert machine.examine_memory(available, 4 * GIB).condition is condition


def test_a_directory_that_does_not_exist_yet_is_judged_by_where_it_will_be(tmp_path: Path) -> None:
    """The nearest directory that exists decides; nothing is created by looking."""
    assert disk(tmp_path / "a" / "b").condition is Condition.OK
    assert list(tmp_path.iterdir()) == []


def test_little_room_warns_and_less_is_missing(tmp_path: Path) -> None:
    """Below what is good: a warning; below the least: missing; both name the way out."""
    assert disk(tmp_path, good_bytes=2**60).condition is Condition.WARN
    full = disk(tmp_path, least_bytes=2**60, good_bytes=2**60)
    assert full.condition is Condition.MISSING
    assert "rebuilder cache" in (full.remedy or "")


def test_a_file_in_the_way_is_not_writable(tmp_path: Path) -> None:
    """A file where a directory should be is found before anything is written."""
    (tmp_path / "file").touch()
    assert disk(tmp_path / "file" / "cache").found.endswith("file is not writable")


def test_a_clock_behind_known_files_warns() -> None:
    """Freshness of indices is judged by this clock: one that is days behind files of ours is wrong."""
    assert machine.examine_clock(NOW, NOW - timedelta(days=30)).condition is Condition.OK
    behind = machine.examine_clock(NOW, NOW + timedelta(days=30))
    assert behind.condition is Condition.WARN
    assert behind.remedy == "set the clock"


def test_this_machine_can_be_looked_at(tmp_path: Path) -> None:
    """Every finding about the machine that runs the tests has words for what is there."""
    environment = {f"REBUILDER_{name}": str(tmp_path) for name in ("CACHE", "STATE", "RESULTS")}
    settings = load_settings(environment=environment)
    findings = machine.examine_machine(settings, now=NOW, data=tmp_path)
    assert {"python", "cages", "memory", "cache", "state", "results", "engine: disk", "clock"} == {
        finding.name for finding in findings
    }
    assert all(finding.found and finding.purpose for finding in findings)
