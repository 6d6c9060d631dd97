"""What the ledger answers: conclusions over time, and the events that somebody must look at."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from rebuilder.model.cause import Cause
from rebuilder.model.digest import Digest
from rebuilder.model.lineage import base_suite
from rebuilder.model.verdict import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Conclusion:
    """One dossier, as a line of history."""

    ecosystem: str
    distribution: str
    suite: str
    name: str
    version: str
    """Of the outputs: a binNMU's differs from its source's."""
    architecture: str
    target: str
    verdict: Verdict
    """What was concluded; `undecided` once that was withdrawn."""
    causes: tuple[Cause, ...]
    reason: str
    dossier: Digest
    directory: str
    """Where its documents are, relative to the results."""
    concluded_at: datetime
    withdrawn: str | None = None
    """Why the result is not to be relied on any more."""

    @property
    def line(self) -> tuple[str, str, str, str, str]:
        """What its history is kept under: the same package, suite and architecture over its versions."""
        return (self.ecosystem, self.distribution, base_suite(self.suite), self.name, self.architecture)


@dataclass(frozen=True, slots=True, kw_only=True)
class Regression:
    """A package that used to reproduce better than it does now."""

    before: Conclusion
    after: Conclusion


class EventKind(StrEnum):
    """What somebody must look at."""

    ARTIFACT_CHANGED = "artifact-changed"
    ARCHIVE_WENT_BACK = "archive-went-back"
    BUILDERS_DISAGREE = "builders-disagree"
    """Builders of one plan gave different bytes: one of them may not have built what it says."""
    LEASE_REFUSED = "lease-refused"
    """A worker reported on a job that was not its own any more."""
    WORKER_REFUSED = "worker-refused"
    """An unknown or revoked worker, a wrong signature, a repeated request, or a role that was not given."""
    WAKE_REFUSED = "wake-refused"
    """A worker was woken by what the coordinator did not sign for it, or not now."""
    UPLOAD_REFUSED = "upload-refused"
    """A worker wanted to send more than it may: it works on something large, or it fills the disk."""
    REPORT_REFUSED = "report-refused"
    """A worker that is known sent what no message or result of its role is: another program's, or somebody else's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that honest archives and honest workers do not do."""

    kind: EventKind
    subject: str
    """File name, or archive and suite."""
    detail: str
    """One sentence: what was expected, what was found."""
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedDocument:
    """One signed document of a dossier, as it was published."""

    filename: str
    """The artifact that it speaks about."""
    kind: str
    """`verdict`, `slsa-provenance`, `slsa-vsa`, `link-metablock`, `link-dsse`."""
    key: str
    """Id of the key that signed it."""
    digest: Digest
    path: str
    """Relative to the dossier's directory."""


def regressions_among(conclusions: Iterable[Conclusion]) -> tuple[Regression, ...]:
    """Every step from a better to a worse decided verdict, oldest first; `undecided` says nothing either way."""
    decided: dict[tuple[str, str, str, str, str], Conclusion] = {}
    found = []
    for conclusion in sorted(conclusions, key=lambda each: each.concluded_at):
        if conclusion.verdict is Verdict.UNDECIDED:
            continue
        before = decided.get(conclusion.line)
        if before is not None and conclusion.verdict.badness > before.verdict.badness:
            found.append(Regression(before=before, after=conclusion))
        decided[conclusion.line] = conclusion
    return tuple(found)
