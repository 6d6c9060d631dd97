"""One row a measurement, and the page made of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from bench.phases import Phase


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure beside what it is compared with."""

    what: str
    command: str
    ours_s: float
    theirs: str
    theirs_s: float | None
    goal: str
    holds: bool | None
    """None where there is no goal to hold."""
    note: str = ""

    @property
    def ratio(self) -> str:
        """Ours over theirs."""
        return "" if not self.theirs_s else f"{self.ours_s / self.theirs_s:.2f}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """Where the time of one run went."""

    what: str
    phases: tuple[Phase, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """Everything that one run of the benchmarks found out."""

    rows: list[Row] = field(default_factory=list)
    spent: list[Spent] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    """What was not measured, and why."""

    @property
    def hold(self) -> bool:
        """Whether no goal was missed."""
        return all(row.holds is not False for row in self.rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page of the documentation, and what it is about."""

    path: Path
    title: str
    names: tuple[str, ...]
    """Benchmarks whose rows it has; it is written when all of them were run."""
    see: str
    """Where the others are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """Under which circumstances the figures came about."""

    day: datetime
    command: str
    processors: int
    architecture: str
    kernel: str
    engine: str
    load: float
    """Average load of the machine in the minute before the first measurement."""


_BUSY = " **The machine was busy with other work: single times, and whether goals hold, say little. Measure again.**"
_ACTS = (
    "Seconds of the median run. The script's `resolve` is `apt-get update`, its `authenticate` is `apt-get source`, "
    "its `install` is `apt-get build-dep` with the downloads. Our warm run builds in the environment that the cold "
    "run prepared; a hash of the environment's tree is made beside the build."
)


def merged(findings: Iterable[Findings]) -> Findings:
    """Put together what several benchmarks found out."""
    all_of_them = Findings()
    for each in findings:
        all_of_them.rows.extend(each.rows)
        all_of_them.spent.extend(each.spent)
        all_of_them.left_out.extend(each.left_out)
    return all_of_them


def render(findings: Findings, setting: Setting, page: Page | None = None) -> str:
    """Write the page; it names no machine, no mirror and no path."""
    lines = [
        "# Benchmarks" if page is None else f"# {page.title}",
        "",
        _introduction(setting),
        "",
        *(() if page is None else (page.see, "")),
        "| what | ours | compared with | theirs | ratio | goal | holds |",
        "| --- | ---: | --- | ---: | ---: | --- | --- |",
        *(_row(row) for row in findings.rows),
        "",
        "What was run, and single measurements:",
        "",
        *(f"- {row.what}: `{row.command}`{'; ' + row.note if row.note else ''}" for row in findings.rows),
    ]
    if findings.spent:
        lines += ["", "## Where the time goes", "", _ACTS, "", *_table(findings.spent)]
    if findings.left_out:
        lines += ["", "## Not measured", "", *(f"- {what}: {why}" for what, why in findings.left_out)]
    return "\n".join(lines) + "\n"


def _introduction(setting: Setting) -> str:
    """Say when, where and how; a load that leaves no processor free is a reason to measure again."""
    doubt = _BUSY if setting.load > setting.processors else ""
    return (
        f"`{setting.command}` on {setting.day:%Y-%m-%d}: {setting.processors} processors, {setting.architecture}, "
        f"Linux {setting.kernel}, {setting.engine}; load {setting.load:.1f} when it began. Seconds of wall time. Both "
        "sides of a row were measured in this run, in turn: compare ratios, not seconds, with another machine's."
        f"{doubt}"
    )


def _row(row: Row) -> str:
    theirs = "" if row.theirs_s is None else _seconds(row.theirs_s)
    holds = "" if row.holds is None else ("yes" if row.holds else "**no**")
    cells = (row.what, _seconds(row.ours_s), row.theirs, theirs, row.ratio, row.goal, holds)
    return f"| {' | '.join(cells)} |"


def _table(spent: Sequence[Spent]) -> list[str]:
    """One column a run, one line a phase, in the order of the run that has most of them."""
    longest_first = sorted(spent, key=lambda each: len(each.phases), reverse=True)
    names = list(dict.fromkeys(phase.name for each in longest_first for phase in each.phases))
    lines = [f"| phase | {' | '.join(each.what for each in spent)} |", f"| --- |{' ---: |' * len(spent)}"]
    columns = [{phase.name: phase.seconds for phase in each.phases} for each in spent]
    for name in names:
        cells = (f"{column[name]:.1f}" if name in column else "" for column in columns)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f}" if seconds >= 1 else f"{seconds:.2f}"
