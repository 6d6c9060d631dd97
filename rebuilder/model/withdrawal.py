"""The word of a rebuilder that a result of its own is not to be relied on any more, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rebuilder.errors import HostileInput
from rebuilder.model import rebuild_id as names
from rebuilder.model.codec import parse, parse_time, render, render_time
from rebuilder.model.digest import Digest

FILE_NAME = "withdrawal.dsse.json"
"""Where a signed withdrawal lies in the directory of the result that it withdraws."""

REASON_LIMIT = 1000
"""Characters: a sentence or a few, on one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Successor:
    """The result that is to be relied on instead."""

    rebuild_id: str
    dossier: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawal:
    """One result that no longer counts. It is bound to its result twice, so that it cannot be moved to another."""

    rebuild_id: str
    dossier: Digest
    """SHA-256 of the `dossier.json` that is withdrawn."""
    attester: str
    """Key id of the attestation key that signed the result, and signs this."""
    reason: str
    superseded_by: Successor | None = None
    withdrawn_at: datetime

    def __post_init__(self) -> None:
        if not 1 <= len(self.reason) <= REASON_LIMIT or not self.reason.isprintable() or not self.reason.strip():
            raise ValueError(f"the reason of a withdrawal is one line of 1 to {REASON_LIMIT} printable characters")
        names.parse(self.rebuild_id)
        if self.superseded_by is not None:
            names.parse(self.superseded_by.rebuild_id)
            if self.superseded_by.dossier == self.dossier:
                raise ValueError("a result cannot be superseded by itself")

    def repeats(self, other: Withdrawal) -> bool:
        """Whether this says what the other says, at whatever time."""
        return (self.rebuild_id, self.dossier, self.attester, self.reason, self.superseded_by) == (
            other.rebuild_id,
            other.dossier,
            other.attester,
            other.reason,
            other.superseded_by,
        )


def read_predicate(predicate: Mapping[str, Any]) -> Withdrawal:
    """Read a withdrawal from its predicate (docs/PREDICATE.md); HostileInput for one that no program of ours wrote."""
    try:
        successor = predicate["supersededBy"]
        made = Withdrawal(
            rebuild_id=predicate["rebuildId"],
            dossier=Digest(predicate["dossier"]["sha256"]),
            attester=predicate["attester"],
            reason=predicate["reason"],
            superseded_by=None
            if successor is None
            else Successor(rebuild_id=successor["rebuildId"], dossier=Digest(successor["dossier"]["sha256"])),
            withdrawn_at=parse_time(predicate["withdrawnOn"]),
        )
        return parse(render(made), Withdrawal)  # the types of all members, as the codec holds them
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise HostileInput("not a withdrawal predicate of a version that this program knows") from error


def write_predicate(withdrawal: Withdrawal, *, verdict: str) -> dict[str, Any]:
    """Write what `read_predicate` reads; `verdict` is what the result said."""
    successor = withdrawal.superseded_by
    return {
        "rebuildId": withdrawal.rebuild_id,
        "dossier": {"sha256": withdrawal.dossier.hex},
        "attester": withdrawal.attester,
        "verdict": verdict,
        "reason": withdrawal.reason,
        "supersededBy": None
        if successor is None
        else {"rebuildId": successor.rebuild_id, "dossier": {"sha256": successor.dossier.hex}},
        "withdrawnOn": render_time(withdrawal.withdrawn_at),
    }
