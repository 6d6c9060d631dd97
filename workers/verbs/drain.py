"""`rebuilder drain`: the whole farm comes to rest, and nothing is lost."""

from __future__ import annotations

from pathlib import Path

import click

from rebuilder.cli import options
from rebuilder.cli.output import say, say_json
from workers.verbs.place import counted, ledger_at, note, now


@options.verb("drain", "rebuilder drain\nrebuilder drain --undo")
@click.option("--undo", is_flag=True, help="Give work again.")
@options.config_option
@options.json_option
def command(config: Path | None, *, undo: bool, as_json: bool) -> None:
    """Give no worker anything new; each finishes what it holds. `rebuilder status` tells when nothing is leased.

    --undo leaves alone whom `rebuilder workers drain` drains.
    """
    from rebuilder.store.jobs import Jobs  # noqa: PLC0415 - the database library is slow to load
    from rebuilder.store.workers import Workers  # noqa: PLC0415 - as above

    _, database = ledger_at(config)
    workers = Workers(database)
    workers.drain_farm(now(), draining=not undo)
    enrolled = [worker for worker in workers.every() if worker.revoked_at is None]
    alone = [worker.name for worker in enrolled if undo and worker.draining]
    leased = dict(Jobs(database).backlog().by_state).get("leased", 0)
    if as_json:
        say_json({"draining": not undo, "workers": len(enrolled) - len(alone), "leased": leased})
    else:
        words = "get work again" if undo else "get nothing new; --undo gives them work again"
        say(f"{counted(len(enrolled) - len(alone), 'worker')}: {words}; leased now: {counted(leased, 'job')}")
        if alone:
            note(f"on their own account still drain: {', '.join(alone)}", "`rebuilder workers drain KEY --undo`")
