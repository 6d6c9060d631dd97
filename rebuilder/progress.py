"""What a long act tells the person who waits, without knowing whether that is a terminal, a pipe or a farm."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """A listener. Every method returns at once and never raises."""

    def phase(self, target: str, name: str, detail: str = "") -> None:
        """The work on `target` enters a phase: `resolve`, `fetch`, `build`, …; `detail` says what runs."""

    def advance(self, target: str, done: int, total: int | None, unit: str) -> None:
        """Within the phase, so much is done; `total` is None while it is not known."""

    def note(self, target: str, message: str) -> None:
        """Something worth a line of its own: a warning, or what was skipped."""


class Silent:
    """Listens and says nothing."""

    def phase(self, target: str, name: str, detail: str = "") -> None:
        """Ignore."""

    def advance(self, target: str, done: int, total: int | None, unit: str) -> None:
        """Ignore."""

    def note(self, target: str, message: str) -> None:
        """Ignore."""


class About:
    """Tells everything to another listener under one name, whatever the parts of the work call it."""

    def __init__(self, progress: Progress, name: str) -> None:
        self._progress = progress
        self._name = name

    def phase(self, target: str, name: str, detail: str = "") -> None:  # noqa: ARG002 - one name for all
        """See Progress.phase."""
        self._progress.phase(self._name, name, detail)

    def advance(self, target: str, done: int, total: int | None, unit: str) -> None:  # noqa: ARG002 - as above
        """See Progress.advance."""
        self._progress.advance(self._name, done, total, unit)

    def note(self, target: str, message: str) -> None:  # noqa: ARG002 - as above
        """See Progress.note."""
        self._progress.note(self._name, message)
