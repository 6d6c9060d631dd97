"""What a check of a published result answers, and what it may be helped with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rebuilder.model.comparison import ArtifactComparison, Inference
from rebuilder.model.dossier import Dossier
from rebuilder.model.verdict import Verdict
from rebuilder.model.withdrawal import Withdrawal

Recompare = Callable[[Path, Path, ArtifactComparison], ArtifactComparison]
"""Compare (reference, rebuilt) files once more, under the rule that the recorded comparison names."""
Reauthenticate = Callable[[Dossier], Sequence[str]]
"""Verify the signed indices down to each reference digest again; say what was verified, raise UntrustedError."""
Reinfer = Callable[[bytes, str], Inference | None]
"""Read diffoscope's JSON once more, under the rule that the recorded inference names; None for an unknown rule."""
Rerender = Callable[[Path], Mapping[str, bytes]]
"""Render a result directory's derived files (its page) from the documents, by path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Helpers:
    """What other parts of the program can re-check; without one, the report says what was not checked."""

    recompare: Recompare | None = None
    reauthenticate: Reauthenticate | None = None
    rerender: Rerender | None = None
    reinfer: Reinfer | None = None
    blobs: Path | None = None
    """Directory of shared blobs (`results/blobs`), where signed indices are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckReport:
    """A published result that holds; one that does not is an error, never a report."""

    rebuild_id: str
    dossier: Dossier
    verdict: Verdict
    """The worst of the artifacts'; `undecided` where the result was withdrawn."""
    attester: str
    """Key id of the reader's key that signed all of it."""
    withdrawal: Withdrawal | None
    """Why the result is not to be relied on any more, in the words of the key that signed it."""
    verified: tuple[str, ...]
    """What was computed again, one sentence each."""
    absent: tuple[str, ...]
    """Evidence that the documents name and that is not here."""
    not_checked: tuple[str, ...]
    """What a reader might assume and this check cannot say, the signed notes included."""
