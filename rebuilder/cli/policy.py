"""`rebuilder policy`: what holds here, after file, environment and defaults."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import click

from rebuilder.cli import options
from rebuilder.cli.output import say, say_json
from rebuilder.config import Settings
from rebuilder.model import table
from rebuilder.model.codec import render, to_plain
from rebuilder.model.digest import Digest
from rebuilder.model.quantity import write_duration, write_size


@options.verb(
    "policy",
    """
rebuilder policy                      every setting that holds here
rebuilder policy > rebuilder.toml     begin a file of one's own
rebuilder policy --json | jq .policy  what is trusted, as documents state it
""",
)
@click.argument("action", type=click.Choice(["show"]), default="show")
@options.config_option
@options.json_option
def command(action: str, config: Path | None, *, as_json: bool) -> None:  # noqa: ARG001 - there is one action so far
    """Show the settings that hold here, as a rebuilder.toml would say them, and the digest of the policy.

    Documents name the policy under which they were made by that digest.
    """
    settings = options.settings_from(config)
    digest = Digest.of(render(settings.policy))
    if as_json:
        say_json({"policy": to_plain(settings.policy), "digest": str(digest), "settings": _values(settings)})
        return
    for path, value in _values(settings).items():
        for line in _lines(path, value):
            say(line)
    lists = {"debian.archives": settings.debian.archives, "farm.packages": settings.farm.packages}
    for name, entries in {**lists, "farm.suites": settings.farm.suites}.items():
        for entry in entries:
            say(f"\n[[{name}]]")
            for key in table.keys(type(entry)):
                for line in _lines(key.path, _plain(key, getattr(entry, key.field.name))):
                    say(line)
    say(f"# policy {digest}")


def _values(settings: Settings) -> dict[str, Any]:
    return {key.path: _plain(key, _value(settings, key)) for key in table.keys(Settings)}


def _lines(path: str, value: object) -> list[str]:
    if value is None or value == {}:
        return [f"# {path} is not set"]
    if isinstance(value, dict):
        return [f"{path}.{json.dumps(key)} = {json.dumps(each)}" for key, each in value.items()]
    return [f"{path} = {json.dumps(value)}"]


def _value(settings: Settings, key: table.Key) -> object:
    place: object = settings
    for part in key.path.split(".")[:-1]:
        place = getattr(place, part)
    value: object = getattr(place, key.field.name)
    return value


def _plain(key: table.Key, value: object) -> object:
    """Give a value as rebuilder.toml would hold it."""
    if key.kind == table.PAIRS and isinstance(value, tuple):
        return dict(value)
    if isinstance(value, tuple):
        return [_plain(key, each) for each in value]
    if isinstance(value, timedelta):
        return write_duration(int(value.total_seconds()))
    if isinstance(value, int) and key.field.name.endswith("_bytes"):
        return write_size(value)
    if isinstance(value, int) and key.field.name.endswith("_s"):
        return write_duration(value)
    return str(value) if isinstance(value, Path) else value
