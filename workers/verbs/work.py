"""`rebuilder work`: this machine is the whole farm, for as long as something is owed."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from rebuilder.cli import options
from rebuilder.cli.output import say, say_json
from rebuilder.errors import UsageError


@options.verb("work", "rebuilder submit deb:trixie/cjson\nrebuilder work")
@click.option("--tag", "tags", multiple=True, default=("amd64",), help="What this machine offers (default: amd64).")
@options.config_option
@options.json_option
@options.quiet_option
def command(tags: tuple[str, ...], config: Path | None, *, as_json: bool, quiet: bool) -> None:
    """Do everything that is owed, in all roles, one job after the other, with the keys of this state directory.

    What waits for another attempt is left for a later `rebuilder work`.
    """
    from rebuilder.cli import progress, world  # noqa: PLC0415 - slow to load
    from rebuilder.stages import tidying  # noqa: PLC0415 - as above
    from workers.farm import Farm, Machine  # noqa: PLC0415 - as above

    settings = options.settings_from(config)
    if settings.farm.database is not None or settings.farm.coordinator is not None:
        raise UsageError(
            "this machine is part of a farm: farm.database or farm.coordinator is set",
            hint="`python -m workers worker KIND` is a worker of it",
        )
    with progress.for_stderr(sys.stderr, quiet=quiet) as shown:
        here = world.open_world(settings, shown)
        machine = Machine(
            settings=settings,
            fetcher=here.fetcher,
            engine=here.engine,
            progress=here.progress,
            now=here.now,
            tags=tags,
        )
        with tidying.in_use(settings):
            farm = Farm(machine)
            done = farm.work()
    backlog = farm.coordinator.bureau.jobs.backlog()
    if as_json:
        say_json({"done": done, "jobs": dict(backlog.by_state)})
    else:
        say(f"{done} jobs done; " + ", ".join(f"{count} {state}" for state, count in backlog.by_state))
