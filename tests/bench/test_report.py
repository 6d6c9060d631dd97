"""The page of the benchmarks is a function of the findings."""

from __future__ import annotations

import re
from dataclasses import replace

from bench.phases import Phase
from bench.report import Findings, Row, Spent, render
from tests.bench.setting import SETTING


def row(*, ours_s: float = 33.0, theirs_s: float | None = 30.0, holds: bool | None = True) -> Row:
    """One comparison."""
    return Row(
        what="cold verify",
        command="rebuilder verify deb:trixie/cjson",
        ours_s=ours_s,
        theirs="plain script",
        theirs_s=theirs_s,
        goal="<= 1.10 x + 3 s",
        holds=holds,
        note="medians",
    )


def test_a_row_says_both_times_their_ratio_and_whether_the_goal_holds() -> None:
    """A reader sees the figures that the judgement rests on."""
    page = render(Findings(rows=[row()]), SETTING)
    assert "| cold verify | 33.0 | plain script | 30.0 | 1.10 | <= 1.10 x + 3 s | yes |" in page
    assert "- cold verify: `rebuilder verify deb:trixie/cjson`; medians" in page


def test_a_missed_goal_stands_out_and_fails_the_run() -> None:
    """Nobody overlooks it: bold on the page, and the findings do not hold."""
    findings = Findings(rows=[row(holds=True), row(holds=False)])
    assert "| **no** |" in render(findings, SETTING)
    assert not findings.hold
    assert Findings(rows=[row(holds=None)]).hold


def test_a_time_without_a_counterpart_has_no_ratio() -> None:
    """A goal in seconds is compared with nothing."""
    assert "| cold verify | 0.33 | plain script |  |  |" in render(
        Findings(rows=[row(ours_s=0.334, theirs_s=None)]), SETTING
    )


def test_the_circumstances_are_on_the_page() -> None:
    """Command, date, processors and load: without them a figure says nothing."""
    page = render(Findings(), SETTING)
    assert "`make bench` on 2026-11-24: 2 processors, x86_64, Linux 6.1.0, docker 20.10; load 0.2" in page


def test_a_busy_machine_is_said() -> None:
    """Figures of a machine without a free processor are marked, those of a quiet one are not."""
    assert "Measure again" in render(Findings(), replace(SETTING, load=2.5))
    assert "Measure again" not in render(Findings(), SETTING)


def test_phases_are_a_table_with_one_column_a_run() -> None:
    """A phase that a run did not have leaves its cell empty."""
    cold = Spent(what="cold", phases=(Phase(name="install", seconds=7.25), Phase(name="build", seconds=17.0)))
    warm = Spent(what="warm", phases=(Phase(name="build", seconds=16.0),))
    page = render(Findings(spent=[cold, warm]), SETTING)
    assert re.search(
        r"\| phase \| cold \| warm \|\n\| --- \| ---: \| ---: \|\n\| install \| 7\.2 \|  \|\n\| build \|", page
    )


def test_what_was_not_measured_is_named_with_its_reason() -> None:
    """A missing peer is said, never left away silently."""
    page = render(Findings(left_out=[("debrebuild", "no stand-in")]), SETTING)
    assert "## Not measured\n\n- debrebuild: no stand-in\n" in page
    assert "Not measured" not in render(Findings(), SETTING)
