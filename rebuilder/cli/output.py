"""What goes to the person: data on stdout, everything else on stderr, and no control character of a stranger's."""

from __future__ import annotations

import io
import json
import os
import sys
from contextlib import suppress
from typing import Any, TextIO

import click

from rebuilder.errors import RebuilderError, StorageFailure

_MESSAGE_LIMIT = 4000
_NAME_LIMIT = 200


def settle_streams() -> None:
    """Never fail on a character that the terminal's encoding lacks, nor on a stream that was closed before we began."""
    _occupy()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _occupy() -> None:
    """Put /dev/null where a standard stream is closed, lest the next file that is opened becomes that stream.

    Writing to a closed stdout must fail, so that what was asked for is not lost in silence: it can only be read from.
    """
    for number, flags in ((0, os.O_RDONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, flags)  # the lowest free number: this one
    if sys.stdout is None or (
        sys.stdout is sys.__stdout__ and isinstance(getattr(sys.stdout, "buffer", None), io.RawIOBase)
    ):
        sys.stdout = _by_lines(1)  # `python -u` has no buffer, where what could not be written waits to be told of
    if sys.stderr is None:
        sys.stderr = _by_lines(2)


def _by_lines(number: int) -> TextIO:
    return open(number, "w", buffering=1, encoding="utf-8", closefd=False)


def printable(text: str) -> str:
    """Show control characters instead of obeying them: names and messages may come from hostile input."""
    return "".join(char if char.isprintable() or char == "\n" else _escaped(char) for char in text)


def one_line(text: str, limit: int = _NAME_LIMIT) -> str:
    """Show a name or a message on one line, and of one that is too long both ends."""
    shown = printable(text[: 2 * limit] + text[-limit:] if len(text) > 3 * limit else text).replace("\n", "\\n")
    if len(shown) <= limit:
        return shown
    end = limit // 4
    return f"{shown[: limit - end - 1]}…{shown[-end:]}"


def _escaped(char: str) -> str:
    return "\t" if char == "\t" else ascii(char)[1:-1]


def say(text: str = "") -> None:
    """Print a line of data."""
    _put(printable(text))


def say_json(value: object) -> None:
    """Print one JSON object on a line of its own."""
    from rebuilder.model.codec import to_plain  # noqa: PLC0415 - `--help` must not wait for what it does not use

    _put(json.dumps(to_plain(value), ensure_ascii=True, sort_keys=False))


def _put(text: str) -> None:
    """Write to stdout; what is longer than its buffer is lost at once where nothing can be written."""
    try:
        click.echo(text)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputLost(error.strerror or type(error).__name__) from error


class OutputLost(StorageFailure):
    """Stdout takes no more: the disk is full, or it was closed."""

    def __init__(self, why: str) -> None:
        super().__init__(f"the output could not be written: {why}", hint="free some space, or send it elsewhere")


def complain(message: str, hint: str | None = None) -> None:
    """Print what is wrong, and what to do about it, on stderr: a line each, whatever strangers put into them.

    Where nobody can read it, the exit code has to say it alone.
    """
    with suppress(OSError):
        click.echo(f"error: {one_line(message, _MESSAGE_LIMIT)}", err=True)
        if hint:
            click.echo(f"hint: {one_line(hint, _MESSAGE_LIMIT)}", err=True)


def as_json(error: RebuilderError) -> dict[str, Any]:
    """Give an error as the object that `--json` prints for it."""
    return {"error": str(error), "hint": error.hint}
