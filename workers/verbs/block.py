"""`rebuilder block`: packages that are not rebuilt, with the reason."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from rebuilder.cli import options
from rebuilder.cli.output import say, say_json
from rebuilder.errors import UsageError
from rebuilder.model.place import verify_pattern
from workers.verbs.place import counted, ledger_at, note, now, show

if TYPE_CHECKING:
    from rebuilder.store.blocks import Blocks


@click.group("block", context_settings=options.CONTEXT)
def command() -> None:
    """Say which packages are not to be rebuilt, and why. `[[farm.packages]]` in the settings may say so as well."""


@command.command("list", cls=options.JsonVerb)
@options.config_option
@options.json_option
def list_blocks(config: Path | None, *, as_json: bool) -> None:
    """List the blocks of the ledger; those of `[[farm.packages]]` are in the settings (`rebuilder policy`)."""
    found = _blocks(config).blocks()
    if as_json:
        say_json({"blocks": found})
        return
    show(("pattern", "reason"), [(each.pattern, each.reason) for each in found], none="no package is blocked here")


@command.command("add", cls=options.JsonVerb)
@click.argument("pattern")
@click.option("--reason", required=True, help="One sentence for whoever asks later.")
@options.config_option
@options.json_option
def add(pattern: str, reason: str, config: Path | None, *, as_json: bool) -> None:
    """Block the source packages that PATTERN names, and hold what waits for them. `*` and `?` stand for others."""
    from rebuilder.store.blocking import Block  # noqa: PLC0415 - the database library is slow to load

    try:
        verify_pattern(pattern)
    except ValueError as error:
        raise UsageError(str(error), hint="for instance cjson, or 'linux-*'") from error
    if not reason.strip():
        raise UsageError(
            "a block without a reason is forgotten by nobody and understood by nobody", hint="say why, with --reason"
        )
    held = _blocks(config).block(Block(pattern=pattern, reason=reason), now())
    say_json({"pattern": pattern, "held": held}) if as_json else say(
        f"{pattern} is blocked; {counted(held, 'job')} held until `rebuilder block remove`"
    )


@command.command("remove", cls=options.JsonVerb)
@click.argument("pattern")
@options.config_option
@options.json_option
def remove(pattern: str, config: Path | None, *, as_json: bool) -> None:
    """Remove a block, and let go on what it held and no other one holds."""
    blocks = _blocks(config)
    freed = blocks.unblock(pattern, now())
    if as_json:
        say_json({"pattern": pattern, "freed": freed})
        return
    say(f"{pattern} is free; {counted(freed, 'job')} let go on")
    if ended := blocks.cancelled(pattern):
        note(f"{counted(ended, 'job')} of it stay cancelled", "`rebuilder jobs retry --name NAME --state cancelled`")


def _blocks(config: Path | None) -> Blocks:
    from rebuilder.store.blocks import Blocks  # noqa: PLC0415 - the database library is slow to load
    from workers.scheduling import standing_blocks  # noqa: PLC0415 - as above

    settings, database = ledger_at(config)
    return Blocks(database, standing_blocks(settings.farm))
