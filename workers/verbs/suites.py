"""`rebuilder suites`: pause, resume, quotas."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from rebuilder.cli import options
from rebuilder.cli.output import say, say_json
from workers.verbs.place import ledger_at, note, now, show

if TYPE_CHECKING:
    from rebuilder.store.blocks import Blocks


@click.group("suites", context_settings=options.CONTEXT)
def command() -> None:
    """Pause and resume suites, and limit how much of one runs at once."""


@command.command("list", cls=options.JsonVerb)
@options.config_option
@options.json_option
def list_suites(config: Path | None, *, as_json: bool) -> None:
    """List the suites that were ever paused or given a quota."""
    found = _blocks(config).suites()
    if as_json:
        say_json({"suites": found})
        return
    rows = [(each.suite, each.paused or "", "" if each.quota is None else str(each.quota)) for each in found]
    show(("suite", "paused", "quota"), rows, none="no suite is paused or has a quota")


@command.command("pause", cls=options.JsonVerb)
@click.argument("suite")
@click.option("--reason", default="by hand", show_default=True, help="One sentence for whoever asks later.")
@options.config_option
@options.json_option
def pause(suite: str, reason: str, config: Path | None, *, as_json: bool) -> None:
    """Begin nothing of a suite any more; what runs goes on. `resume` takes it back."""
    _named(config, suite).pause(suite, reason, now())
    say_json({"suite": suite, "paused": reason}) if as_json else say(f"{suite} is paused: {reason}")


@command.command("resume", cls=options.JsonVerb)
@click.argument("suite")
@options.config_option
@options.json_option
def resume(suite: str, config: Path | None, *, as_json: bool) -> None:
    """Let a paused suite go on."""
    _named(config, suite).pause(suite, None, now())
    say_json({"suite": suite, "paused": None}) if as_json else say(f"{suite} goes on")


@command.command("quota", cls=options.JsonVerb)
@click.argument("suite")
@click.argument("number", type=click.IntRange(0), required=False)
@options.config_option
@options.json_option
def quota(suite: str, number: int | None, config: Path | None, *, as_json: bool) -> None:
    """Let at most NUMBER rebuilds of a suite run at once; without a number, any."""
    _named(config, suite).limit(suite, number, now())
    words = "any number of rebuilds" if number is None else f"at most {number} rebuilds"
    say_json({"suite": suite, "quota": number}) if as_json else say(f"{suite}: {words} at once")


def _named(config: Path | None, suite: str) -> Blocks:
    """Open the ledger; say when nothing in it is of that suite, for then the name may be wrong."""
    blocks = _blocks(config)
    if not blocks.is_known(suite):
        note(
            f"nothing of a suite {suite} was imported or submitted yet",
            "names are as in `rebuilder sync`: trixie-security",
        )
    return blocks


def _blocks(config: Path | None) -> Blocks:
    from rebuilder.store.blocks import Blocks  # noqa: PLC0415 - the database library is slow to load

    return Blocks(ledger_at(config)[1])
