"""Progress as a person sees it, and as a log does."""

from __future__ import annotations

import io
from datetime import datetime

import pytest
from rich.console import Console

from rebuilder.cli.live import LiveProgress
from rebuilder.cli.progress import PlainProgress, Quiet, for_stderr

TARGET = "pkg:deb/debian/cjson@1.7.18-3.1%2Bb1?arch=source&distro=trixie"


def _console(stream: io.StringIO, width: int) -> Console:
    """Give an ordinary terminal, whatever runs the tests: rich takes TERM=dumb for one of 80 columns."""
    terminal = {"TERM": "xterm"}
    return Console(
        file=stream, width=width, force_terminal=True, color_system=None, legacy_windows=False, _environ=terminal
    )


def _drawn(progress: LiveProgress, console: Console) -> list[str]:
    with console.capture() as captured:
        console.print(progress)
    return captured.get().splitlines()


class Clock:
    """Counts seconds when told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """Say the time."""
        return self.now


def test_a_log_gets_a_line_with_the_time_for_each_phase() -> None:
    """No control sequences, no bars, the target on each line."""
    stream = io.StringIO()
    progress = PlainProgress(stream, now=lambda: datetime(2026, 1, 2, 3, 4, 5))  # noqa: DTZ001 - wall clock of a log
    with progress:
        progress.phase("deb:trixie/cjson", "fetch", "cjson.orig.tar.gz")
        progress.advance("deb:trixie/cjson", 1, 2, "bytes")
        progress.note("deb:trixie/cjson", "a \x1b[31mcoloured\x1b[0m name")
        progress.finish("deb:trixie/cjson")
    assert stream.getvalue().splitlines() == [
        "03:04:05 deb:trixie/cjson: fetch: cjson.orig.tar.gz",
        "03:04:05 deb:trixie/cjson: note: a \\x1b[31mcoloured\\x1b[0m name",
    ]


@pytest.mark.parametrize("width", [40, 80, 120])
def test_the_live_line_fits_every_width(width: int) -> None:
    """One line a target, never wrapped; elapsed time is always whole, and the phase is seen on ordinary terminals."""
    console = _console(io.StringIO(), width)
    clock = Clock()
    progress = LiveProgress(console, clock=clock)
    progress.phase(TARGET, "build", "dpkg-buildpackage with a long list of words that say what runs at this moment")
    clock.now = 65
    (line,) = _drawn(progress, console)
    assert len(line) == width - 1, "the last column stays free: a line that fills it wraps on some terminals"
    assert line.endswith("1 min 05 s")
    assert "deb:trixie/cjson=1.7" in line
    assert width < 80 or "build" in line


def test_downloads_have_a_bar() -> None:
    """Share, amount and total; without a total only the amount."""
    console = _console(io.StringIO(), 80)
    progress = LiveProgress(console, clock=Clock())
    progress.phase(TARGET, "fetch")
    progress.advance(TARGET, 1024**2, 4 * 1024**2, "bytes")
    assert "25%  1.0 MiB of 4.0 MiB" in _drawn(progress, console)[1]
    progress.advance(TARGET, 17, None, "lines")
    assert _drawn(progress, console)[1].strip() == "17 lines"


def test_a_phase_that_ends_leaves_its_duration() -> None:
    """What was done stays above the live line."""
    stream = io.StringIO()
    clock = Clock()
    progress = LiveProgress(_console(stream, 80), clock=clock)
    progress.phase(TARGET, "resolve")
    clock.now = 2.5
    progress.phase(TARGET, "fetch")
    progress.phase(TARGET, "fetch", "another file")
    progress.note(TARGET, "freshness is unknown")
    progress.finish(TARGET)
    lines = [line.rstrip() for line in stream.getvalue().splitlines()]
    assert lines[0].startswith("  ✓ resolve")
    assert lines[0].endswith("2.5 s")
    assert "freshness is unknown" in lines[1]
    assert lines[2].startswith("  ✓ fetch  another file")
    assert _drawn(progress, _console(io.StringIO(), 80)) == []


def test_a_terminal_without_unicode_gets_ascii() -> None:
    """Marks and bars have plain forms."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii", write_through=True)
    console = Console(file=stream, width=60, force_terminal=True, color_system=None)
    progress = LiveProgress(console, clock=Clock())
    progress.phase("t", "fetch")
    progress.advance("t", 1, 2, "files")
    assert all(line.isascii() for line in _drawn(progress, console))
    progress.finish("t")


def test_what_is_shown_depends_on_where_it_goes() -> None:
    """A pipe gets plain lines; --quiet gets nothing."""
    assert isinstance(for_stderr(io.StringIO(), quiet=False), PlainProgress)
    assert isinstance(for_stderr(io.StringIO(), quiet=True), Quiet)


def test_a_listener_never_raises() -> None:
    """A log that was closed does not end a verification."""
    stream = io.StringIO()
    stream.close()
    PlainProgress(stream).phase("t", "build")


def test_a_name_beyond_every_bound_stays_on_one_line() -> None:
    """A newline in a name forges no line of a log, and 100,000 characters are cut, both ends kept."""
    stream = io.StringIO()
    progress = PlainProgress(stream)
    progress.phase("deb:trixie/a\n00:00:00 forged" + "y" * 100_000 + "end", "fetch", "z" * 100_000)
    (line,) = stream.getvalue().splitlines()
    assert len(line) < 2100
    assert "a\\n00:00:00 forged" in line
    assert "end: fetch: zzz" in line
