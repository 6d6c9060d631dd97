"""`rebuilder cache`: what is kept between runs, and how to have less of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from rebuilder.cli import options
from rebuilder.cli.output import say, say_json
from rebuilder.errors import EngineFailure, UsageError
from rebuilder.model.codec import to_plain
from rebuilder.model.quantity import render_size

if TYPE_CHECKING:
    from rebuilder.build.cache import Cache, Usage
    from rebuilder.config import Settings


@click.group("cache", context_settings=options.CONTEXT)
def command() -> None:
    """Show, prune or clear downloads (by digest) and prepared environments (images in the engine).

    Each of the two caches has the budget `cache_budget`. What a running verification uses is never removed.
    """


@command.command("show", cls=options.JsonVerb)
@options.config_option
@options.json_option
def show(config: Path | None, *, as_json: bool) -> None:
    """Show how full the caches are."""
    settings = options.settings_from(config)
    usages = [cache.usage() for cache in _caches(settings)]
    if as_json:
        say_json({"caches": to_plain(usages), "budget_bytes": settings.cache_budget_bytes})
        return
    for usage in usages:
        say(f"{usage.name:<12} {usage.count:>6}  {render_size(usage.size_bytes):>10} of {_budget(settings)}")


@command.command("prune", cls=options.JsonVerb)
@click.option("--budget", metavar="SIZE", help='Prune to this size instead of `cache_budget`, for instance "5 GiB".')
@options.config_option
@options.json_option
def prune(budget: str | None, config: Path | None, *, as_json: bool) -> None:
    """Remove what was used longest ago, until each cache fits its budget."""
    settings = options.settings_from(config, cache_budget=budget)
    _tell(_pruned(settings, settings.cache_budget_bytes), as_json=as_json)


@command.command("clear", cls=options.JsonVerb)
@options.config_option
@options.json_option
def clear(config: Path | None, *, as_json: bool) -> None:
    """Remove everything that is not in use right now."""
    _tell(_pruned(options.settings_from(config), 0), as_json=as_json)


def _pruned(settings: Settings, budget_bytes: int) -> list[Usage]:
    from rebuilder.stages.tidying import nobody_uses  # noqa: PLC0415 - after the options are parsed

    with nobody_uses(settings) as free:
        if not free:
            raise UsageError("a verification uses the caches right now", hint="try again when it has ended")
        return [cache.prune(budget_bytes) for cache in _caches(settings)]


def _caches(settings: Settings) -> list[Cache]:
    """Both caches; without an engine, the downloads alone."""
    from rebuilder.cli import world  # noqa: PLC0415 - the engine's library is slow to load

    caches: list[Cache] = [world.downloads_of(settings)]
    try:
        engine = world.open_engine(settings)
        engine.images()
    except EngineFailure as error:
        click.echo(f"note: {error}: prepared environments are left out", err=True)
    else:
        caches.append(world.prepared_of(settings, engine))
    return caches


def _tell(removed: list[Usage], *, as_json: bool) -> None:
    if as_json:
        say_json({"removed": to_plain(removed)})
        return
    for usage in removed:
        say(f"{usage.name:<12} {usage.count:>6} removed, {render_size(usage.size_bytes)} freed")


def _budget(settings: Settings) -> str:
    return render_size(settings.cache_budget_bytes)
