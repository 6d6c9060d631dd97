"""The one word that badges, lists and pages say: a verdict's, or `withdrawn` in its place."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from rebuilder.model.dossier import Dossier
from rebuilder.model.verdict import Verdict
from rebuilder.model.withdrawal import Successor, Withdrawal


class Word(StrEnum):
    """What is said of a result or a release in one word."""

    REPRODUCED = "reproduced"
    EQUIVALENT = "equivalent"
    UNDECIDED = "undecided"
    DIFFERENT = "different"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawn:
    """A withdrawal as lists carry it."""

    verdict: Verdict
    """What the result said, and does not say any more."""
    reason: str
    attester: str
    superseded_by: Successor | None
    withdrawn_at: datetime

    @classmethod
    def of(cls, withdrawal: Withdrawal, dossier: Dossier) -> Withdrawn:
        """Shorten a withdrawal of this dossier's result."""
        return cls(
            verdict=dossier.verdict,
            reason=withdrawal.reason,
            attester=withdrawal.attester,
            superseded_by=withdrawal.superseded_by,
            withdrawn_at=withdrawal.withdrawn_at,
        )


def word_of(verdict: Verdict, *, withdrawn: bool) -> Word:
    """Say what stands: a withdrawal takes the place of no answer, and is none itself."""
    return Word.WITHDRAWN if withdrawn and verdict is Verdict.UNDECIDED else Word(verdict)
