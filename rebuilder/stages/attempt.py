"""How far the work on one part of a release came: what the stages hand to each other."""

from __future__ import annotations

from dataclasses import dataclass

from rebuilder.errors import RebuilderError
from rebuilder.model.comparison import Comparison
from rebuilder.model.dossier import Variation
from rebuilder.model.rebuild import Rebuild
from rebuilder.model.release import Release
from rebuilder.model.trust import Trust
from rebuilder.origins.origin import Planned


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One finished run of a plan, as its builder signed it."""

    rebuild: Rebuild
    record: bytes
    """The DSSE envelope around it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """What the builders signed of their runs; None where nothing ran."""

    rebuild: bytes | None = None
    control: bytes | None = None
    others: tuple[bytes, ...] = ()
    """Of the dossier's `others`, in their order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """How far the work on one part of a release came."""

    name: str
    """How progress names the target."""
    part: Release
    trust: Trust
    planned: Planned | None = None
    run: Run | None = None
    control: Run | None = None
    others: tuple[Run, ...] = ()
    """Of the same plan, by other builders of a quorum."""
    comparison: Comparison | None = None
    variations: tuple[Variation, ...] = ()
    error: RebuilderError | None = None
    """What stopped it, if something did."""

    @property
    def records(self) -> Records:
        """The builders' signed records of the runs."""
        return Records(
            rebuild=self.run.record if self.run else None,
            control=self.control.record if self.control else None,
            others=tuple(run.record for run in self.others),
        )
