"""What comparing a release with a rebuild found, artifact by artifact."""

from __future__ import annotations

from dataclasses import dataclass, field

from rebuilder.model.cause import Cause, in_reporting_order
from rebuilder.model.codec import later
from rebuilder.model.digest import Digest
from rebuilder.model.release import FileReference
from rebuilder.model.verdict import Control, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Stabilizer:
    """A named, versioned pass that removes one known nondeterminism."""

    name: str
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One difference, at one place."""

    path: str
    """Where, from the outside in: `data.tar.xz/./usr/bin/bwrap/.text`; printable, bounded."""
    cause: Cause
    detail: str
    """One sentence for a reader; never raw bytes."""
    reference: str | None = None
    """The reference's value in short (a digest, a mode, a date); None where the member is absent."""
    rebuilt: str | None = None
    removed_by: Stabilizer | None = None
    """The stabilizer under which this difference vanishes; None for one that remains."""


INFERABLE = frozenset(
    {
        Cause.TOOLCHAIN_VERSION,
        Cause.BUILD_DATE,
        Cause.BUILD_PATH,
        Cause.BUILD_ID,
        Cause.HOSTNAME_OR_USER,
        Cause.LOCALE,
        Cause.TIMEZONE,
        Cause.FILE_ORDER,
        Cause.DOCUMENTATION,
    }
)
"""What may be inferred from diffoscope's report: never a cause that is security-relevant, never one of no answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InferredCause:
    """One cause that diffoscope's report points to, at one place of it."""

    cause: Cause
    path: str
    """Where in the report, from the outside in: `data.tar.xz/./usr/bin/tool/strings --all`; printable, bounded."""
    detail: str
    """One sentence for a reader."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inference:
    """What was read in diffoscope's JSON: another program's word, beside our findings, that changes none of them."""

    rule: str
    """How it was read, with the version: `diffoscope-json/1`."""
    causes: tuple[InferredCause, ...]
    omitted: int = 0
    """How many places were left out because there were too many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactComparison:
    """One artifact's verdict, with everything needed to compute it again."""

    filename: str
    verdict: Verdict
    causes: tuple[Cause, ...]
    reference: FileReference | None
    rebuilt: FileReference | None
    stabilizers: tuple[Stabilizer, ...] = ()
    findings: tuple[Finding, ...] = ()
    findings_omitted: int = 0
    """How many findings were left out of `findings` because there were too many; never silently."""
    control: Control = Control.NOT_NEEDED
    control_digest: Digest | None = None
    """Digest of the same artifact in the control rebuild."""
    reports: tuple[tuple[str, Digest], ...] = ()
    """(kind, blob): `diffoscope-html`, `diffoscope-text`, `diffoscope-json`."""
    report_notes: tuple[str, ...] = ()
    """What the report lacks: a tool that was missing, a bound that was reached."""
    inference: Inference | None = field(default=None, metadata=later())
    """Causes inferred from `diffoscope-json`; None where there was no whole one, or it was not acceptable."""

    @property
    def inferred_causes(self) -> tuple[Cause, ...]:
        """Causes that diffoscope's report adds to our own, each once; never part of `causes`."""
        named = () if self.inference is None else self.inference.causes
        return in_reporting_order({each.cause for each in named} - set(self.causes))


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """All artifacts of one plan's architecture, compared under one rule."""

    rule: str
    """Id and version of the comparison rule, for instance `deb/1`."""
    artifacts: tuple[ArtifactComparison, ...]
