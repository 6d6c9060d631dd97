"""Progress on stderr: one live line for each target on a terminal (`live`), plain timestamped lines otherwise."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from threading import Lock
from types import TracebackType
from typing import Protocol, Self, TextIO

from rebuilder.cli.output import one_line
from rebuilder.progress import Progress, Silent

_LINE_LIMIT = 2000


class ShownProgress(Progress, Protocol):
    """A listener that is shown while a `with` block lasts."""

    def __enter__(self) -> Self:
        """Begin to show."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the terminal as it was."""

    def finish(self, target: str) -> None:
        """Nothing more comes about this target."""


class Quiet(Silent):
    """Shows nothing."""

    def __enter__(self) -> Self:
        """Show nothing."""
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to put back."""

    def finish(self, target: str) -> None:
        """Ignore."""


class PlainProgress:
    """A line for each phase and note, with the time of day; for pipes, logs and farms."""

    def __init__(self, stream: TextIO, *, now: Callable[[], datetime] = datetime.now) -> None:
        self._stream = stream
        self._now = now
        self._lock = Lock()

    def __enter__(self) -> Self:
        """Nothing to set up."""
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to put back."""

    def phase(self, target: str, name: str, detail: str = "") -> None:
        """See Progress."""
        self._line(f"{one_line(target)}: {name}{': ' if detail else ''}{detail}")

    def advance(self, target: str, done: int, total: int | None, unit: str) -> None:
        """Say nothing: a log wants no bars."""

    def note(self, target: str, message: str) -> None:
        """See Progress."""
        self._line(f"{one_line(target)}: note: {message}")

    def finish(self, target: str) -> None:
        """Say nothing: the answer follows."""

    def _line(self, text: str) -> None:
        with self._lock:
            try:
                self._stream.write(f"{self._now():%H:%M:%S} {one_line(text, _LINE_LIMIT)}\n")
                self._stream.flush()
            except (OSError, ValueError):
                pass  # nobody reads it; a listener never raises


def for_stderr(stream: TextIO, *, quiet: bool) -> ShownProgress:
    """Choose the listener that fits where stderr goes; only a terminal that can draw gets live lines."""
    if quiet:
        return Quiet()
    if stream.closed or not stream.isatty():
        return PlainProgress(stream)
    from rich.console import Console  # noqa: PLC0415 - slow to load, and not for a pipe

    from rebuilder.cli.live import LiveProgress  # noqa: PLC0415 - as above

    console = Console(file=stream, stderr=False, highlight=False)
    return LiveProgress(console) if console.is_terminal and not console.is_dumb_terminal else PlainProgress(stream)
