"""`rebuilder drain`: the whole farm comes to rest, and nothing is lost."""

from __future__ import annotations

from pathlib import Path

import click

from rebuilder.cli import options
from rebuilder.cli.output import say, say_json
from workers.verbs.place import counted, ledger_at


@options.verb("drain", "rebuilder drain\nrebuilder drain --undo")
@click.option("--undo", is_flag=True, help="Give work again.")
@options.config_option
@options.json_option
def command(config: Path | None, *, undo: bool, as_json: bool) -> None:
    """Give no worker anything new; each finishes what it holds. `rebuilder status` tells when nothing is leased."""
    from rebuilder.store.jobs import Jobs  # noqa: PLC0415 - the database library is slow to load
    from rebuilder.store.workers import Workers  # noqa: PLC0415 - as above

    _, database = ledger_at(config)
    workers = Workers(database)
    enrolled = [worker for worker in workers.every() if worker.revoked_at is None]
    for worker in enrolled:
        workers.drain(worker.keyid, draining=not undo)
    leased = dict(Jobs(database).backlog().by_state).get("leased", 0)
    if as_json:
        say_json({"draining": not undo, "workers": len(enrolled), "leased": leased})
    else:
        words = "get work again" if undo else "get nothing new; --undo gives them work again"
        say(f"{counted(len(enrolled), 'worker')}: {words}; leased now: {counted(leased, 'job')}")
