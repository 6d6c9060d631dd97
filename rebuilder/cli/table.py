"""The verdict table that a person reads at the end."""

from __future__ import annotations

from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from rebuilder.cli.answer import Answer, page_of, reason_of, verdict_of, version_of
from rebuilder.cli.output import printable
from rebuilder.cli.words import colour, short, symbol
from rebuilder.model.comparison import ArtifactComparison
from rebuilder.model.plan import Fidelity
from rebuilder.model.verdict import Verdict

_WIDTH_OF_A_PIPE = 160
_BESIDE_NAMES = 45
"""Columns that verdicts and causes need beside the file names."""


def console_for(stream: TextIO) -> Console:
    """Make a console for data: as wide as the terminal, and roomy where there is none, so that nothing is cut."""
    console = Console(file=stream, highlight=False, soft_wrap=False)
    return console if console.is_terminal else Console(file=stream, highlight=False, width=_WIDTH_OF_A_PIPE)


def speaks_unicode(console: Console) -> bool:
    """Tell whether symbols beyond ASCII can be shown there."""
    return console.encoding.lower().replace("-", "").startswith("utf")


def print_result(result: Answer, console: Console) -> None:
    """Print one target's answer: verdict, artifacts with causes, the reason, and where to read on."""
    plain = not speaks_unicode(console)
    console.print(_headline(result, plain=plain))
    rows = [each for dossier in result.dossiers for each in dossier.comparison.artifacts]
    if rows:
        console.print(_artifacts(rows, plain=plain, width=console.width))
    for label, text in _particulars(result):
        grid = Table.grid(padding=(0, 2, 0, 0))
        grid.add_column(width=12, style="dim", no_wrap=True)
        grid.add_column(overflow="fold")
        grid.add_row(f"  {label}", printable(text))
        console.print(grid)


def _headline(result: Answer, *, plain: bool) -> Text:
    verdict = verdict_of(result)
    word: str = verdict.value if verdict is not None else _without_verdict(result)
    style = colour(verdict if verdict is not None or _is_bad(result) else Verdict.REPRODUCED)
    line = Text.assemble((f"{symbol(verdict, plain=plain)} {word}", style), f"  {printable(short(result.target))}")
    version = version_of(result.dossiers)
    if version and version not in short(result.target):
        line.append(f"  {printable(version)}")
    return line


def _is_bad(result: Answer) -> bool:
    return result.error is not None or (result.trust is not None and not result.trust.accepted)


def _without_verdict(result: Answer) -> str:
    if result.error is not None:
        return "no answer"
    return "would be rebuilt" if not _is_bad(result) else "refused"


def _artifacts(rows: list[ArtifactComparison], *, plain: bool, width: int) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_header=False)
    longest = max(len(artifact.filename) for artifact in rows)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold", min_width=max(min(longest, width - _BESIDE_NAMES), 1))
    table.add_column(overflow="fold", style="dim")
    for artifact in rows:
        verdict = Text(f"  {symbol(artifact.verdict, plain=plain)} {artifact.verdict}", style=colour(artifact.verdict))
        why = [*artifact.causes, *(f"{each.name}/{each.version}" for each in artifact.stabilizers)]
        table.add_row(verdict, printable(artifact.filename), ", ".join(why))
    return table


def _particulars(result: Answer) -> list[tuple[str, str]]:
    found = []
    if result.causes:
        found.append(("causes", ", ".join(result.causes)))
    if reason := reason_of(result):
        found.append(("reason", reason))
    if result.error is not None and result.error.hint:
        found.append(("hint", result.error.hint))
    plans = [dossier.plan for dossier in result.dossiers if dossier.plan is not None]
    if plans:
        environment = next(
            (plan.environment for plan in plans if plan.environment.fidelity is Fidelity.INFERRED),
            plans[0].environment,
        )
        found.append(("environment", f"{environment.fidelity}: {environment.reason}"))
    found += [("report", str(page_of(path))) for path in result.documents]
    return found
