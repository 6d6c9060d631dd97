"""The answer: verdicts of comparisons, kept apart from outcomes of runs."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum


class Verdict(StrEnum):
    """Of an artifact's comparison. Declared from best to worst, so that a release's is its artifacts' worst."""

    REPRODUCED = "reproduced"
    EQUIVALENT = "equivalent"
    UNDECIDED = "undecided"
    DIFFERENT = "different"

    @property
    def badness(self) -> int:
        """0 for the best verdict, 3 for the worst."""
        return _BADNESS[self]


_BADNESS = {verdict: rank for rank, verdict in enumerate(Verdict)}


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The verdict of a whole: different > undecided > equivalent > reproduced. Nothing to judge is undecided."""
    return max(verdicts, key=lambda verdict: verdict.badness, default=Verdict.UNDECIDED)


class Outcome(StrEnum):
    """Of one run of one plan; says nothing about any comparison."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed-out"
    RESOURCE_EXHAUSTED = "resource-exhausted"


class Control(StrEnum):
    """What the control rebuild, in a freshly prepared environment, said about a difference."""

    NOT_NEEDED = "not-needed"
    NOT_RUN = "not-run"
    DETERMINISTIC = "deterministic"
    NONDETERMINISTIC = "nondeterministic"
    FAILED = "failed"
