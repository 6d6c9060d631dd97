"""Where a run's time goes is read off its progress lines."""

from __future__ import annotations

import io
from datetime import datetime

import pytest

from bench.phases import Mark, Phase, durations, phase_of
from rebuilder.cli.progress import PlainProgress


def line_of(name: str, detail: str = "") -> str:
    """What the command line really writes about a phase."""
    stream = io.StringIO()
    PlainProgress(stream, now=lambda: datetime(2026, 11, 24, 7, 5, 9)).phase("deb:trixie/cjson", name, detail)  # noqa: DTZ001 - local time, as a log shows
    return stream.getvalue()


@pytest.mark.parametrize(
    ("name", "detail", "phase"),
    [
        ("resolve", "reading signed indices", "resolve"),
        ("plan", "environment and exact inputs", "plan"),
        ("plan", "build-dependencies, computed offline", "dependencies"),
        ("environment", "fetching 60 packages", "fetch packages"),
        ("environment", "installing 60 packages offline", "install"),
        ("attest", "", "attest"),
    ],
)
def test_a_progress_line_begins_a_phase(name: str, detail: str, phase: str) -> None:
    """The lines of the plain progress are understood, and acts of one phase are told apart."""
    assert phase_of(line_of(name, detail)) == phase


def test_other_lines_begin_no_phase() -> None:
    """Notes and what other programs write are passed over."""
    stream = io.StringIO()
    PlainProgress(stream).note("deb:trixie/cjson", "reading 6 signed indices")
    assert phase_of(stream.getvalue()) is None
    assert phase_of("E: Unable to locate package\n") is None


def test_times_of_a_phase_add_up_to_the_whole() -> None:
    """A phase that comes twice is one line; what precedes the first is the start; nothing is lost."""
    marks = [Mark(at_s=1.0, name="plan"), Mark(at_s=2.0, name="build"), Mark(at_s=5.0, name="plan")]
    assert durations(marks, 7.5) == (
        Phase(name="start", seconds=1.0),
        Phase(name="plan", seconds=3.5),
        Phase(name="build", seconds=3.0),
    )


def test_a_command_without_phases_has_none() -> None:
    """sha256sum says nothing about itself."""
    assert durations([], 3.0) == ()
