"""Gathers findings within a bound, the important ones first, and never loses count."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rebuilder.compare.causes import causes_of
from rebuilder.compare.differences import Difference
from rebuilder.compare.readers.archive import shown
from rebuilder.compare.rule import Rule
from rebuilder.compare.words import describe
from rebuilder.model.cause import Cause, in_reporting_order
from rebuilder.model.comparison import Finding, Stabilizer

FINDINGS = 400
"""How many findings a comparison keeps."""
_PER_CAUSE = 100
_PATH_LIMIT = 600


@dataclass(slots=True, kw_only=True, eq=False)
class Tally:
    """What was seen during one stretch."""

    causes: set[Cause] = field(default_factory=set)
    removed_by: set[Stabilizer] = field(default_factory=set)
    remaining: int = 0
    """How many differences no stabilizer removes."""
    total: int = 0


class Collector:
    """Turns differences into findings under one rule; `name` is the path of the outermost file."""

    def __init__(self, rule: Rule, *, name: str) -> None:
        self._rule = rule
        self._name = name
        self._kept: dict[tuple[Cause, bool], list[Finding]] = {}
        self._all = Tally()
        self._tallies = [self._all]

    def add(self, difference: Difference) -> None:
        """Take one difference; it gives one finding for each of its causes."""
        causes = causes_of(difference)
        together = [self._rule.removed_by(difference, cause) for cause in causes]
        removed_by = together[0] if all(together) else None
        for cause in causes:
            self._count(cause, removed_by)
            kept = self._kept.setdefault((cause, removed_by is None), [])
            if len(kept) < _PER_CAUSE:
                detail, reference, rebuilt = describe(difference)
                path = shown(difference.path or self._name, _PATH_LIMIT)
                kept.append(
                    Finding(
                        path=path,
                        cause=cause,
                        detail=detail,
                        reference=reference,
                        rebuilt=rebuilt,
                        removed_by=removed_by,
                    )
                )

    @contextmanager
    def tally(self) -> Iterator[Tally]:
        """Count what is added within the block."""
        tally = Tally()
        self._tallies.append(tally)
        try:
            yield tally
        finally:
            self._tallies.pop()

    @property
    def seen(self) -> Tally:
        """Everything that was added."""
        return self._all

    @property
    def causes(self) -> tuple[Cause, ...]:
        """Each cause once, security-relevant first."""
        return in_reporting_order(self._all.causes)

    @property
    def stabilizers(self) -> tuple[Stabilizer, ...]:
        """Those that removed something, in the rule's order."""
        names = [removal.stabilizer for removal in self._rule.removals]
        return tuple(stabilizer for stabilizer in names if stabilizer in self._all.removed_by)

    def findings(self) -> tuple[Finding, ...]:
        """Return the findings kept, security-relevant first, then by path; what merely follows comes last."""
        order = {cause: rank for rank, cause in enumerate(Cause)}
        kept = [finding for findings in self._kept.values() for finding in findings]
        kept.sort(key=lambda one: (order[one.cause], one.removed_by is not None, "/./md5sums/" in one.path, one.path))
        return tuple(kept[:FINDINGS])

    def _count(self, cause: Cause, removed_by: Stabilizer | None) -> None:
        for tally in self._tallies:
            tally.causes.add(cause)
            tally.total += 1
            if removed_by is None:
                tally.remaining += 1
            else:
                tally.removed_by.add(removed_by)
