"""`rebuilder explain`: what differs between two local files, and why."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rebuilder.cli import options
from rebuilder.cli.output import printable, say, say_json
from rebuilder.errors import UnknownTarget
from rebuilder.model.codec import to_plain

if TYPE_CHECKING:
    from rebuilder.model.comparison import ArtifactComparison, Finding


@options.verb(
    "explain",
    """
rebuilder explain published.deb rebuilt.deb
rebuilder explain A B --html diff.html   with diffoscope's report
rebuilder explain A B --json | jq '.findings[].path'
""",
)
@click.argument("reference", type=click.Path(path_type=Path), metavar="A")
@click.argument("rebuilt", type=click.Path(path_type=Path), metavar="B")
@click.option(
    "--html", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write diffoscope's report to FILE."
)
@click.option("--all", "everything", is_flag=True, help="Show every finding (default: the first 40).")
@options.config_option
@options.json_option
def command(reference: Path, rebuilt: Path, html: Path | None, config: Path | None, **how: bool) -> int:
    """Compare the local files A (the reference) and B, member by member, and name the cause of each difference.

    Both are opened in a child without network, bounded in memory and time. Security-relevant differences come first;
    those that a stabilizer removes are marked. The exit code is that of the verdict: 0, or 1 for different.
    """
    from rebuilder.cli.explaining import compare_and_report, compare_files  # noqa: PLC0415 - after the options are parsed
    from rebuilder.cli.words import exit_code  # noqa: PLC0415

    for path in (reference, rebuilt):
        if not path.is_file():
            raise UnknownTarget(f"{path}: no such file")
    settings = options.settings_from(config)
    if html is None:
        found = compare_files(reference, rebuilt)
    else:
        found = compare_and_report(reference, rebuilt, html, settings)
    if how["as_json"]:
        say_json(to_plain(found))
    else:
        _print(found, limit=None if how["everything"] else 40)
    return exit_code(found.verdict, found.causes, accept_equivalent=settings.policy.accept_equivalent)


def _print(found: ArtifactComparison, *, limit: int | None) -> None:
    from rebuilder.cli.table import console_for, print_findings  # noqa: PLC0415 - not for JSON

    causes = f"  {', '.join(found.causes)}" if found.causes else ""
    say(f"{found.verdict}{causes}")
    if found.stabilizers:
        say(f"stabilizers: {', '.join(f'{each.name}/{each.version}' for each in found.stabilizers)}")
    shown = sorted(found.findings, key=_rank)[:limit]
    print_findings(shown, console_for(sys.stdout))
    for note in found.report_notes:
        say(f"report: {note}")
    hidden = len(found.findings) - len(shown) + found.findings_omitted
    if hidden:
        say(printable(f"… and {hidden} more findings (--all, or --json)"))


def _rank(finding: Finding) -> tuple[bool, bool]:
    return (finding.removed_by is not None, not finding.cause.is_security_relevant)
