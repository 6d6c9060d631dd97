"""`rebuilder doctor`: what is missing on this machine and how to get it."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.table import Table
from rich.text import Text

from rebuilder.cli import options
from rebuilder.cli.output import printable, say_json
from rebuilder.model.codec import to_plain

if TYPE_CHECKING:
    from rebuilder.doctor.finding import Finding

_STYLES = {"ok": ("✔", "green"), "warn": ("!", "yellow"), "missing": ("✘", "bold red")}


@options.verb(
    "doctor",
    """
rebuilder doctor             look at everything, the archives included
rebuilder doctor --offline   ask nothing of the network
""",
)
@click.option("--offline", is_flag=True, help="Do not ask the archives whether they answer.")
@options.config_option
@options.json_option
def command(config: Path | None, *, offline: bool, as_json: bool) -> int:
    """Look at what a verification needs on this machine, and say how to get what is missing.

    Exit code 0 when a verification would work here (with warnings or without), 4 when something is missing.
    """
    from rebuilder.doctor import examine, worst  # noqa: PLC0415 - loads every library that it examines
    from rebuilder.world.http import HttpFetcher, Patience  # noqa: PLC0415

    settings = options.settings_from(config)
    fetcher = None if offline else HttpFetcher(Patience(connect_s=5, read_s=10, total_s=30, attempts=1))
    findings = examine(settings, now=datetime.now(UTC), fetcher=fetcher)
    verdict = worst(findings)
    if as_json:
        say_json({"condition": verdict, "findings": to_plain(findings)})
    else:
        _print(findings)
    return 4 if verdict == "missing" else 0


def _print(findings: tuple[Finding, ...]) -> None:
    from rebuilder.cli.table import console_for, put  # noqa: PLC0415 - not for JSON

    console = console_for(sys.stdout)
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in findings:
        mark, style = _STYLES[finding.condition]
        text = Text(f"{printable(finding.name)}: {printable(finding.found)}")
        if finding.condition != "ok":
            text.append(f"\n{printable(finding.purpose)}", "dim")
        if finding.remedy:
            text.append(f"\n→ {printable(finding.remedy)}", "cyan")
        table.add_row(Text(f"{mark} {finding.condition}", style), text)
    put(table, console)
