"""`rebuilder report`: what the results hold, for a person or a program."""

from __future__ import annotations

from pathlib import Path

import click

from rebuilder.cli import options
from rebuilder.cli.output import one_line
from rebuilder.cli.paths import is_result
from rebuilder.errors import UnknownTarget


@options.verb(
    "report",
    """
rebuilder report                      counts, and the newest verdict of each version
rebuilder report cjson                every result of one package
rebuilder report results/deb/…/RUN    one result, artifact by artifact
rebuilder report --format markdown
""",
)
@click.argument("what", required=False)
@click.option(
    "--format", "form", type=click.Choice(["text", "markdown", "json"]), default="text", help="How to print it."
)
@options.results_option
@options.config_option
@options.json_option
def command(what: str | None, form: str, results: Path | None, config: Path | None, *, as_json: bool) -> None:
    """Show what was concluded: everything, the package WHAT, or the one result in the directory WHAT."""
    from rebuilder.cli import reporting  # noqa: PLC0415 - reads and renders results

    settings = options.settings_from(config, results=results)
    form = "json" if as_json else form
    if what is not None and is_result(Path(what)):
        from rebuilder.cli.pins import known  # noqa: PLC0415 - cryptography is slow to load

        reporting.print_one(Path(what), form, known(settings.state))
        return
    summaries, unreadable = reporting.collect(settings.results, what)
    if what is not None and not summaries:
        raise UnknownTarget(
            f"{settings.results}: no result of {one_line(what)}", hint="`rebuilder report` lists what there is"
        )
    reporting.print_list(summaries, unreadable, form, superseded=what is not None)
