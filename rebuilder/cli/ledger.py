"""`rebuilder ledger`: make it again from the results; ask it for history and events."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from rebuilder.cli import options
from rebuilder.cli.output import say, say_json
from rebuilder.model.codec import render_time, to_plain
from rebuilder.store.conclusions import Conclusion


@click.group("ledger", context_settings=options.CONTEXT)
def command() -> None:
    """Make the ledger again from the results, or ask it for history and events."""


@command.command("rebuild", cls=options.JsonVerb)
@options.results_option
@options.config_option
@options.json_option
def rebuild(results: Path | None, config: Path | None, *, as_json: bool) -> int:
    """Record every published dossier again. Nothing that is recorded already changes.

    A file that is not acceptable is named and left out; then the exit code is 4.
    """
    from rebuilder.cli.world import ledger_of  # noqa: PLC0415 - the database library is slow to load
    from rebuilder.store.restore import rebuild_from  # noqa: PLC0415

    settings = options.settings_from(config, results=results)
    restored = rebuild_from(ledger_of(settings), settings.results)
    if as_json:
        say_json(restored)
    else:
        say(f"{restored.dossiers} dossiers, {restored.documents} signed documents")
        for refusal in restored.refused:
            say(f"left out: {refusal}")
    return 4 if restored.refused else 0


@command.command("history", cls=options.JsonVerb)
@click.argument("name")
@options.config_option
@options.json_option
def history(name: str, config: Path | None, *, as_json: bool) -> None:
    """Show everything concluded about the package NAME, newest first."""
    from rebuilder.cli.world import ledger_of  # noqa: PLC0415 - as above

    lines = ledger_of(options.settings_from(config)).history(name)
    if as_json:
        say_json([to_plain(line) for line in lines])
        return
    for line in lines:
        say(_conclusion(line))
    if not lines:
        say(f"nothing is recorded about {name}")


@command.command("events", cls=options.JsonVerb)
@options.config_option
@options.json_option
def events(config: Path | None, *, as_json: bool) -> None:
    """Show what somebody should look at: published files that changed, archives that went back, regressions."""
    from rebuilder.cli.world import ledger_of  # noqa: PLC0415 - as above

    ledger = ledger_of(options.settings_from(config))
    found, worse = ledger.events(), ledger.regressions()
    if as_json:
        document: dict[str, Any] = {"events": to_plain(found), "regressions": to_plain(worse)}
        say_json(document)
        return
    for event in found:
        say(f"{render_time(event.at)}  {event.kind}  {event.subject}: {event.detail}")
    for step in worse:
        say(f"{_conclusion(step.after)}  was {step.before.verdict} in {step.before.version}")
    if not found and not worse:
        say("no events")


def _conclusion(line: Conclusion) -> str:
    causes = f"  {', '.join(line.causes)}" if line.causes else ""
    what = f"{line.name} {line.version} {line.architecture}"
    if line.withdrawn is not None:
        return f"{render_time(line.concluded_at)}  withdrawn   {what}  {line.withdrawn}"
    return f"{render_time(line.concluded_at)}  {line.verdict:<10}  {what}{causes}"
