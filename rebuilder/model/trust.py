"""What a policy made of the evidence: the answer of `authenticate`."""

from __future__ import annotations

from dataclasses import dataclass

from rebuilder.model.cause import Cause
from rebuilder.model.digest import Digest
from rebuilder.model.evidence import Evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """Whether a release may be built from, under one policy, and why."""

    accepted: bool
    reason: str
    """One sentence for a reader; when refused, the first rule that was not met."""
    cause: Cause | None
    """Why it was refused (`untrusted-input`, `stale-input`, `source-unavailable`); None when accepted."""
    policy: Digest
    """SHA-256 of the canonical JSON of the policy that was applied."""
    evidence: tuple[Evidence, ...]
    """All of it, accepted or not; what was skipped is in each piece's `not_checked`."""

    def __post_init__(self) -> None:
        if self.accepted == (self.cause is not None):
            raise ValueError("a refused release has a cause, an accepted one has none")
