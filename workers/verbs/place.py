"""What every verb of the farm begins with: the settings, the ledger that they name, and the time."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rebuilder.cli import options
from rebuilder.cli.output import one_line, printable, say

WHY_LIMIT = 160
"""So much of a message is in a list, as wide as a terminal or two lines of it."""
_NOTE_LIMIT = 1000

if TYPE_CHECKING:
    from rebuilder.config import Settings
    from rebuilder.store.database import Database


def ledger_at(config: Path | None) -> tuple[Settings, Database]:
    """Open the ledger that the settings name; StorageFailure when it refuses, is newer, or is not there."""
    from rebuilder.store.opening import open_database  # noqa: PLC0415 - the database library is slow to load

    settings = options.settings_from(config)
    return settings, open_database(settings)


def now() -> datetime:
    """Return the time, to the second, as the ledger keeps it."""
    return datetime.now(UTC).replace(microsecond=0)


def since(moment: datetime | None, at: datetime) -> str:
    """Say how long ago something was, roughly."""
    if moment is None:
        return "-"
    seconds = max(int((at - moment).total_seconds()), 0)
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def counted(number: int, noun: str) -> str:
    """Write how many there are of something: `1 job`, `2 jobs`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def note(text: str, hint: str = "") -> None:
    """Say something on stderr that is no error, and what to do about it."""
    with suppress(OSError):
        click.echo(f"note: {one_line(text, _NOTE_LIMIT)}", err=True)
        if hint:
            click.echo(f"hint: {one_line(hint, _NOTE_LIMIT)}", err=True)


def show(headings: Sequence[str], rows: Sequence[Sequence[str]], *, none: str = "") -> None:
    """Print a table on stdout, or what to say where it has no row; nothing of it is obeyed by the terminal."""
    if not rows and none:
        say(none)
        return
    from rich.table import Table  # noqa: PLC0415 - not for JSON
    from rich.text import Text  # noqa: PLC0415 - as above

    from rebuilder.cli.table import console_for, put  # noqa: PLC0415 - as above: slow to load

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    put(table, console_for(sys.stdout))
