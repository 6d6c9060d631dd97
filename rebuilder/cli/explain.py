"""`rebuilder explain`: what differs between two local files, and why."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rebuilder.cli import options
from rebuilder.cli.answer import artifact_object
from rebuilder.cli.output import say, say_json
from rebuilder.cli.paths import output_file, regular_file
from rebuilder.model.codec import to_plain

if TYPE_CHECKING:
    from rebuilder.model.comparison import ArtifactComparison

_SHOWN = 40


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
@click.option("--all", "everything", is_flag=True, help="Show every finding, those that stabilizers remove too.")
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
        regular_file(path)
    if html is not None:
        output_file(html, (reference, rebuilt))
    settings = options.settings_from(config)
    if html is None:
        found = compare_files(reference, rebuilt)
    else:
        found = compare_and_report(reference, rebuilt, html, settings)
    if how["as_json"]:
        say_json(_object(found))
    else:
        _print(found, everything=how["everything"])
    return exit_code(found.verdict, found.causes, accept_equivalent=settings.policy.accept_equivalent)


def _object(found: ArtifactComparison) -> dict[str, Any]:
    return artifact_object(found) | {
        "findings": to_plain(found.findings),
        "findings_omitted": found.findings_omitted,
        "report_notes": list(found.report_notes),
    }


def _print(found: ArtifactComparison, *, everything: bool) -> None:
    from rebuilder.cli.table import console_for, print_findings  # noqa: PLC0415 - not for JSON

    causes = f"  {', '.join(found.causes)}" if found.causes else ""
    say(f"{found.verdict}{causes}")
    ranked = sorted(found.findings, key=lambda each: (each.removed_by is not None, not each.cause.is_security_relevant))
    shown = ranked if everything else [each for each in ranked if each.removed_by is None][:_SHOWN]
    print_findings(shown, console_for(sys.stdout))
    removed = Counter(f"{each.removed_by.name}/{each.removed_by.version}" for each in ranked if each.removed_by)
    if removed and not everything:
        said = ", ".join(f"{number} by {name}" for name, number in sorted(removed.items()))
        say(f"  differences that stabilizers remove: {said}")
    hidden = len(ranked) - len(shown) - (0 if everything else removed.total()) + found.findings_omitted
    if hidden:
        say(f"  and {hidden} more findings (--all, or --json)")
    if found.inferred_causes:
        say(f"  diffoscope's report points to: {', '.join(found.inferred_causes)}")
    for note in found.report_notes:
        say(f"  report: {note}")
