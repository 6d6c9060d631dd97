"""Progress on a terminal: one live line for each target. Apart from `progress`, for drawing is slow to load."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock
from typing import Self

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.table import Table
from rich.text import Text

from rebuilder.cli.output import one_line
from rebuilder.cli.table import speaks_unicode
from rebuilder.cli.words import short
from rebuilder.model.quantity import render_duration, render_size

_REFRESH_PER_S = 8
_NARROW = 60
_LINE_LIMIT = 2000


class _Track:
    """What is known about one target."""

    def __init__(self, target: str, started: float) -> None:
        self.target = target
        self.started = started
        self.phase = ""
        self.detail = ""
        self.phase_started = started
        self.done = 0
        self.total: int | None = None
        self.unit = ""


class LiveProgress:
    """One live line for each target; each phase leaves a line with its duration when it ends."""

    def __init__(self, console: Console, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._plain = not speaks_unicode(console)
        self._tracks: dict[str, _Track] = {}
        self._lock = Lock()
        self._live = Live(
            self,
            console=console,
            refresh_per_second=_REFRESH_PER_S,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def __enter__(self) -> Self:
        """Begin to draw."""
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Take the live lines away and leave the finished ones."""
        self._live.stop()

    def phase(self, target: str, name: str, detail: str = "") -> None:
        """See Progress."""
        now = self._clock()
        with self._lock:
            track = self._tracks.setdefault(target, _Track(target, now))
            ended = self._ended(track, now) if track.phase and track.phase != name else None
            if track.phase != name:
                track.phase_started = now
            track.phase, track.detail, track.done, track.total, track.unit = name, detail, 0, None, ""
        if ended is not None:
            self._console.print(ended)

    def advance(self, target: str, done: int, total: int | None, unit: str) -> None:
        """See Progress."""
        with self._lock:
            track = self._tracks.setdefault(target, _Track(target, self._clock()))
            track.done, track.total, track.unit = done, total, unit

    def note(self, target: str, message: str) -> None:
        """See Progress."""
        with self._lock:
            named = f"{one_line(short(target))}: " if len(self._tracks) > 1 else ""
        grid = Table.grid(padding=(0, 1, 0, 0))
        grid.add_column(no_wrap=True, style="yellow")
        grid.add_column(overflow="fold")
        grid.add_row("  !" if self._plain else "  ⚠", one_line(named + message, _LINE_LIMIT))
        self._console.print(grid)

    def finish(self, target: str) -> None:
        """Leave the last phase's line and stop drawing this target."""
        with self._lock:
            track = self._tracks.pop(target, None)
            ended = self._ended(track, self._clock()) if track is not None and track.phase else None
        if ended is not None:
            self._console.print(ended)
        self._live.refresh()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw every target that is being worked on."""
        now = self._clock()
        with self._lock:
            for track in self._tracks.values():
                yield from self._lines(track, now, options.max_width)

    def _ended(self, track: _Track, now: float) -> Text:
        mark = "  + " if self._plain else "  ✓ "
        left = Text.assemble((mark, "green"), track.phase)
        if track.detail:
            left.append(f"  {one_line(track.detail)}", "dim")
        return _row(left, render_duration(now - track.phase_started), self._console.width)

    def _lines(self, track: _Track, now: float, width: int) -> RenderResult:
        frames = "|/-\\" if self._plain else "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
        frame = frames[int(now * _REFRESH_PER_S) % len(frames)]
        left = Text.assemble((f"{frame} ", "cyan"), (one_line(short(track.target)), "bold"), f"  {track.phase}")
        if track.detail and width >= _NARROW:
            left.append(f"  {one_line(track.detail)}", "dim")
        yield _row(left, render_duration(now - track.started), width)
        if track.unit:
            yield self._bar(track, width)

    def _bar(self, track: _Track, width: int) -> Text:
        total = track.total
        amount = _amount(track.done, track.unit)
        if not total:
            return Text(f"    {amount}", style="dim")
        share = min(track.done / total, 1.0)
        label = f" {share:4.0%}  {amount} of {_amount(total, track.unit)}"
        room = max(min(40, width - len(label) - 5), 0)
        filled = round(room * share)
        full, empty = ("#", ".") if self._plain else ("━", "─")
        return Text.assemble("    ", (full * filled, "cyan"), (empty * (room - filled), "dim"), (label, "dim"))


def _row(left: Text, right: str, width: int) -> Text:
    """One line of exactly this width: the left cut where it must be, the right always whole."""
    room = max(width - len(right) - 2, 8)
    left.truncate(room, overflow="ellipsis", pad=True)
    left.append(f" {right}", "dim")
    left.no_wrap = True
    left.overflow = "crop"
    return left


def _amount(number: int, unit: str) -> str:
    return render_size(number) if unit in {"B", "bytes"} else f"{number} {unit}"
