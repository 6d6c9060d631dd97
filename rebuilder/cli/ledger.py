"""`rebuilder ledger`: make it again from the results; ask it; upgrade, check, back up and restore it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rebuilder.cli import options
from rebuilder.cli.output import say, say_json
from rebuilder.cli.paths import output_file, regular_file
from rebuilder.config import Settings
from rebuilder.model.codec import render_time, to_plain
from rebuilder.store.conclusions import Conclusion

if TYPE_CHECKING:
    from rebuilder.store.database import Database


@click.group("ledger", context_settings=options.CONTEXT)
def command() -> None:
    """Make the ledger again from the results, ask it for history and events, and look after it."""


@command.command("rebuild", cls=options.JsonVerb)
@options.results_option
@options.config_option
@options.json_option
def rebuild(results: Path | None, config: Path | None, *, as_json: bool) -> int:
    """Record every published dossier again. Nothing that is recorded already changes.

    A file that is not acceptable is named and left out; then the exit code is 4.
    """
    from rebuilder.cli.world import ledger_of  # noqa: PLC0415 - the database library is slow to load
    from rebuilder.store.opening import open_database  # noqa: PLC0415 - as above
    from rebuilder.store.restore import rebuild_from  # noqa: PLC0415

    settings = options.settings_from(config, results=results)
    restored = rebuild_from(ledger_of(settings), settings.results)
    _keep_out(settings, open_database(settings))
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


_FILE = click.Path(dir_okay=False, path_type=Path)


@command.command("upgrade", cls=options.JsonVerb)
@options.config_option
@options.json_option
def upgrade(config: Path | None, *, as_json: bool) -> None:
    """Bring the ledger to this program's schema, or make it. Verbs of the command line upgrade a file by themselves.

    Stop the coordinator first, and make a backup. Leases stay as they are.
    """
    from rebuilder.store.opening import open_database  # noqa: PLC0415 - as above
    from rebuilder.store.schema import Preparation  # noqa: PLC0415 - as above
    from rebuilder.store.tables import SCHEMA_VERSION  # noqa: PLC0415 - as above

    database = open_database(options.settings_from(config), Preparation.UPGRADE)
    if as_json:
        say_json({"ledger": database.name, "schema": SCHEMA_VERSION})
    else:
        say(f"{database.name}: schema {SCHEMA_VERSION}")


@command.command("backup", cls=options.JsonVerb)
@click.argument("file", type=_FILE)
@options.config_option
@options.json_option
def backup(file: Path, config: Path | None, *, as_json: bool) -> None:
    """Write the whole ledger to the new FILE, as it is at one moment, while others may write."""
    from rebuilder.store.backup import backup as write  # noqa: PLC0415 - as above
    from rebuilder.store.opening import open_database  # noqa: PLC0415 - as above

    copied = write(open_database(options.settings_from(config)), output_file(file), datetime.now(UTC))
    if as_json:
        say_json({"file": str(file), "tables": copied.tables, "rows": copied.rows})
    else:
        say(f"{file}: {copied.rows} rows of {copied.tables} tables")


@command.command("restore", cls=options.JsonVerb)
@click.argument("file", type=_FILE)
@options.config_option
@options.json_option
def restore(file: Path, config: Path | None, *, as_json: bool) -> None:
    """Fill an empty ledger, of either kind, from FILE that `backup` wrote: wholly or not at all.

    What coordinators write that have no work yet (who sweeps, who is enrolled) gives way; start them again afterwards.
    """
    from rebuilder.store.backup import restore as read  # noqa: PLC0415 - as above
    from rebuilder.store.opening import open_database  # noqa: PLC0415 - as above
    from rebuilder.store.schema import Preparation  # noqa: PLC0415 - as above

    written = regular_file(file, "name a file that `rebuilder ledger backup` wrote")
    settings = options.settings_from(config)
    database = open_database(settings, Preparation.UPGRADE)
    _keep_out(settings, database)  # notes whom this ledger has revoked, before it gives way
    copied = read(database, written)
    _keep_out(settings, database)
    if as_json:
        found = {"tables": copied.tables, "rows": copied.rows, "replaced": copied.replaced}
        say_json({"ledger": database.name, **found})
    else:
        say(f"{database.name}: {copied.rows} rows of {copied.tables} tables")
        if copied.replaced:
            say(f"{copied.replaced} rows of coordinators without work gave way; start coordinators again")


@command.command("check", cls=options.JsonVerb)
@options.config_option
@options.json_option
def check(config: Path | None, *, as_json: bool) -> int:
    """Read the whole ledger: the file, what rows name, states that cannot be. Exit code 4 when something is wrong."""
    from rebuilder.store.examine import examine  # noqa: PLC0415 - as above
    from rebuilder.store.opening import open_database  # noqa: PLC0415 - as above

    found = examine(open_database(options.settings_from(config)))
    if as_json:
        say_json({"counts": dict(found.counts), "faults": list(found.faults)})
    else:
        for name, count in found.counts:
            say(f"{count:9}  {name}")
        for fault in found.faults:
            say(f"wrong: {fault}")
        if not found.faults:
            say("nothing is wrong")
    return 4 if found.faults else 0


def _keep_out(settings: Settings, database: Database) -> None:
    """Have keys that were revoked be so in this ledger as well, which may be older than their revocation."""
    from rebuilder.store.revocations import Revocations  # noqa: PLC0415 - as above
    from rebuilder.store.workers import Workers  # noqa: PLC0415 - as above

    Revocations(settings.state).agree(Workers(database))


def _conclusion(line: Conclusion) -> str:
    causes = f"  {', '.join(line.causes)}" if line.causes else ""
    what = f"{line.name} {line.version} {line.architecture}"
    if line.withdrawn is not None:
        return f"{render_time(line.concluded_at)}  withdrawn   {what}  {line.withdrawn}"
    return f"{render_time(line.concluded_at)}  {line.verdict:<10}  {what}{causes}"
