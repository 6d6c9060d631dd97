"""How a withdrawal is told, to a person and to a program."""

from __future__ import annotations

from typing import Any

from rebuilder.model.codec import render_time, to_plain
from rebuilder.model.dossier import Dossier
from rebuilder.model.verdict import Verdict
from rebuilder.model.withdrawal import Withdrawal


def why_withdrawn(withdrawal: Withdrawal) -> list[str]:
    """Say why, when, by whom, and what to rely on instead, a line each."""
    lines = [withdrawal.reason, f"{render_time(withdrawal.withdrawn_at)} by key {withdrawal.attester}"]
    if withdrawal.superseded_by is not None:
        lines.append(f"superseded by {withdrawal.superseded_by.rebuild_id}")
    return lines


def withdrawn_object(withdrawal: Withdrawal | None, dossier: Dossier) -> dict[str, Any] | None:
    """Give a withdrawal as `--json` prints it, with the verdict that no longer counts; None where there is none."""
    if withdrawal is None:
        return None
    return {
        "verdict": dossier.verdict,
        "reason": withdrawal.reason,
        "attester": withdrawal.attester,
        "superseded_by": to_plain(withdrawal.superseded_by),
        "withdrawn_at": render_time(withdrawal.withdrawn_at),
    }


def signature_of(withdrawal: Withdrawal, *, verified: bool) -> str:
    """Say whether who withdrew a result was verified here, or is what a document says of itself."""
    if verified:
        return "signature verified with a key that you know"
    return f"signature not verified: `rebuilder check` with key {withdrawal.attester[:16]} does, or pin that key"


def without_verdict(
    answer: dict[str, Any], withdrawal: Withdrawal, dossier: Dossier, *, verified: bool
) -> dict[str, Any]:
    """Give a result's object as it is after a withdrawal: no verdict in it counts, and it says why."""
    artifacts = [{**artifact, "verdict": Verdict.UNDECIDED} for artifact in answer["artifacts"]]
    gone = {"verdict": Verdict.UNDECIDED, "causes": [], "artifacts": artifacts, "reason": withdrawal.reason}
    told = {**(withdrawn_object(withdrawal, dossier) or {}), "signature_verified": verified}
    return {**answer, **gone, "withdrawn": told}
