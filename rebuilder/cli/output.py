"""What goes to the person: data on stdout, everything else on stderr, and no control character of a stranger's."""

from __future__ import annotations

import io
import json
import sys
from typing import Any

import click

from rebuilder.errors import RebuilderError


def settle_streams() -> None:
    """Never fail on a character that the terminal's encoding lacks."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def printable(text: str) -> str:
    """Show control characters instead of obeying them: names and messages may come from hostile input."""
    return "".join(char if char.isprintable() or char == "\n" else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    return "\t" if char == "\t" else ascii(char)[1:-1]


def say(text: str = "") -> None:
    """Print a line of data."""
    click.echo(printable(text))


def say_json(value: object) -> None:
    """Print one JSON object on a line of its own."""
    from rebuilder.model.codec import to_plain  # noqa: PLC0415 - `--help` must not wait for what it does not use

    click.echo(json.dumps(to_plain(value), ensure_ascii=True, sort_keys=False))


def complain(message: str, hint: str | None = None) -> None:
    """Print what is wrong, and what to do about it, on stderr."""
    click.echo(f"error: {printable(message)}", err=True)
    if hint:
        click.echo(f"hint: {printable(hint)}", err=True)


def as_json(error: RebuilderError) -> dict[str, Any]:
    """Give an error as the object that `--json` prints for it."""
    return {"error": str(error), "hint": error.hint}
