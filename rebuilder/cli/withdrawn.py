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


def without_verdict(answer: dict[str, Any], withdrawal: Withdrawal, dossier: Dossier) -> dict[str, Any]:
    """Give a result's object as it is after a withdrawal: no verdict in it counts, and it says why."""
    artifacts = [{**artifact, "verdict": Verdict.UNDECIDED} for artifact in answer["artifacts"]]
    gone = {"verdict": Verdict.UNDECIDED, "causes": [], "artifacts": artifacts, "reason": withdrawal.reason}
    return {**answer, **gone, "withdrawn": withdrawn_object(withdrawal, dossier)}
