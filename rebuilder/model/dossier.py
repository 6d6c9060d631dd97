"""Everything that was concluded about one rebuild of one release: what documents are written from."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from rebuilder.model.cause import Cause, in_reporting_order
from rebuilder.model.codec import later
from rebuilder.model.comparison import Comparison
from rebuilder.model.evidence import Evidence, Standing
from rebuilder.model.plan import ImageLock, Plan
from rebuilder.model.rebuild import Rebuild
from rebuilder.model.release import Release
from rebuilder.model.trust import Trust
from rebuilder.model.verdict import Verdict, worst

_FAVOURABLE = frozenset({Verdict.REPRODUCED, Verdict.EQUIVALENT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Variation:
    """One run of the separate variation experiment: what was varied and whether any output changed."""

    factor: str
    """`clock`, `path`, `locale`."""
    changed: tuple[str, ...]
    """File names of outputs whose digest differs from the unvaried rebuild's."""
    findings: tuple[str, ...]
    """One sentence a difference, for a reader; names causes, never a verdict."""
    failed: str | None = field(default=None, metadata=later())
    """Why the run gives no answer, in one sentence; None for a run that gave one. `changed` says nothing then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dossier:
    """One release, one architecture, at most one plan, its runs, and the comparison."""

    release: Release
    """Restricted to the artifacts of `architecture`."""
    architecture: str
    trust: Trust
    plan: Plan | None
    """None when nothing could be planned: then every artifact is undecided."""
    lock: ImageLock | None
    rebuild: Rebuild | None
    control: Rebuild | None
    comparison: Comparison
    variations: tuple[Variation, ...] = ()
    tools: tuple[tuple[str, str], ...]
    """(program, version) of everything that shaped the answer: rebuilder, engine, bootstrap, diffoscope, …"""
    reason: str = ""
    """For `undecided`: one sentence saying what went wrong."""
    concluded_at: datetime
    others: tuple[Rebuild, ...] = field(default=(), metadata=later())
    """Runs of the same plan by other builders, for a quorum: all in fresh environments, `rebuild` as well."""

    @property
    def runs(self) -> tuple[Rebuild, ...]:
        """One run by each builder of the quorum: the rebuild, then the others; without the control run."""
        return () if self.rebuild is None else (self.rebuild, *self.others)

    @property
    def verdict(self) -> Verdict:
        """The worst verdict of the artifacts."""
        return worst(artifact.verdict for artifact in self.comparison.artifacts)

    @property
    def causes(self) -> tuple[Cause, ...]:
        """Every artifact's causes, each once, security-relevant first."""
        return in_reporting_order({cause for artifact in self.comparison.artifacts for cause in artifact.causes})

    @property
    def disowned(self) -> tuple[Evidence, ...]:
        """Refusals of the very bytes that the rebuild gives: reproduced or equivalent, and not what was signed for.

        The source makes them, and yet the archive publishes others under their name: no gate may open on them.
        """
        compared = self.comparison.artifacts
        favoured = {one.reference.digest for one in compared if one.reference and one.verdict in _FAVOURABLE}
        found = (*self.release.evidence, *self.trust.evidence)
        refused = (piece for piece in found if piece.outcome is Standing.REFUSED and piece.subject_digest in favoured)
        return tuple(dict.fromkeys(refused))
