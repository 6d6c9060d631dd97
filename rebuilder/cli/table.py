"""The verdict table that a person reads at the end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TextIO
from urllib.parse import unquote

from rich.console import Console
from rich.table import Table
from rich.text import Text

from rebuilder.cli.answer import (
    HINT_OF_DISOWNED,
    Answer,
    disowned_of,
    is_refused,
    page_of,
    reason_of,
    variations_of,
    verdict_of,
    version_of,
)
from rebuilder.cli.output import printable
from rebuilder.cli.words import colour, short, symbol
from rebuilder.model.comparison import ArtifactComparison, Finding
from rebuilder.model.plan import Fidelity
from rebuilder.model.verdict import Verdict

_WIDTH_OF_A_PIPE = 160
_LABELS = 13
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
        print_artifacts(rows, console)
    elif result.release is not None:
        for artifact in result.release.artifacts:
            console.print(Text(f"  {printable(artifact.filename)}", "dim"))
    for label, text in _particulars(result):
        grid = Table.grid(padding=(0, 2, 0, 0))
        grid.add_column(width=_LABELS, style="dim", no_wrap=True)
        grid.add_column(overflow="fold")
        grid.add_row(f"  {label}", printable(text))
        put(grid, console)
    for path in result.documents:  # never folded: it is there to be clicked and copied
        line = Text.assemble(("  report".ljust(_LABELS + 2), "dim"), printable(str(page_of(path))))
        console.print(line, soft_wrap=True)


def put(table: Table, console: Console) -> None:
    """Print a table; without the padding at the ends of lines where it goes to a file or a pipe."""
    if console.is_terminal:
        console.print(table)
        return
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        console.file.write(f"{line.rstrip()}\n")


def print_artifacts(rows: Sequence[ArtifactComparison], console: Console) -> None:
    """Print a line for each artifact: verdict, file name, causes and stabilizers."""
    put(_artifacts(rows, plain=not speaks_unicode(console), width=console.width), console)


def print_findings(findings: Sequence[Finding], console: Console) -> None:
    """Print each difference: its cause, its place, and what is there on either side."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in findings:
        style = "dim" if finding.removed_by else "bold red" if finding.cause.is_security_relevant else ""
        text = Text(printable(finding.path))
        text.append(f"\n{printable(finding.detail)}", "dim")
        if finding.reference is not None or finding.rebuilt is not None:
            sides = f"{finding.reference or '(absent)'} → {finding.rebuilt or '(absent)'}"
            text.append(f"\n{printable(sides)}", "dim")
        if finding.removed_by is not None:
            text.append(f"\nremoved by {finding.removed_by.name}/{finding.removed_by.version}", "dim")
        table.add_row(Text(f"  {finding.cause}", style), text)
    if findings:
        put(table, console)


def _headline(result: Answer, *, plain: bool) -> Text:
    verdict = verdict_of(result)
    if verdict is not None:
        mark, word, style = symbol(verdict, plain=plain), verdict.value, colour(verdict)
    elif is_refused(result):
        mark, word, style = symbol(None), "refused", colour(None)
    else:
        mark, word, style = ("+" if plain else "✓"), "authenticated", colour(Verdict.REPRODUCED)
    line = Text.assemble((f"{mark} {word}", style), f"  {printable(short(result.target))}")
    if disowned_of(result):
        line = Text.assemble((f"{symbol(None)} {word}, but refused", colour(None)), line[len(f"{mark} {word}") :])
    version = version_of(result)
    if version and version not in unquote(result.target):
        line.append(f"  {printable(version)}")
    return line


def _artifacts(rows: Sequence[ArtifactComparison], *, plain: bool, width: int) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_header=False)
    longest = max(len(artifact.filename) for artifact in rows)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold", min_width=max(min(longest, width - _BESIDE_NAMES), 1))
    table.add_column(overflow="fold", style="dim")
    for artifact in rows:
        verdict = Text(f"  {symbol(artifact.verdict, plain=plain)} {artifact.verdict}", style=colour(artifact.verdict))
        table.add_row(verdict, printable(artifact.filename), _why(artifact))
    return table


def _why(artifact: ArtifactComparison) -> str:
    """Name the causes, and apart from them the stabilizers that were applied, which are none."""
    stabilizers = ", ".join(f"{each.name}/{each.version}" for each in artifact.stabilizers)
    applied = [f"(under {stabilizers})"] if stabilizers else []
    return " ".join([*filter(None, [", ".join(artifact.causes)]), *applied])


def _particulars(result: Answer) -> list[tuple[str, str]]:
    found = []
    if result.causes:
        found.append(("causes", ", ".join(result.causes)))
    if reason := reason_of(result):
        found.append(("reason", reason))
    if result.error is not None and result.error.hint:
        found.append(("hint", result.error.hint))
    elif disowned_of(result):
        found.append(("hint", HINT_OF_DISOWNED))
    plans = [dossier.plan for dossier in result.dossiers if dossier.plan is not None]
    if plans:
        environment = next(
            (plan.environment for plan in plans if plan.environment.fidelity is Fidelity.INFERRED),
            plans[0].environment,
        )
        found.append(("environment", f"{environment.fidelity}: {environment.reason}"))
    if not result.dossiers and result.trust is not None and result.trust.accepted:
        found.append(("trust", result.trust.reason))
    found += [("variation", line) for line in variations_of(result)]
    return found
