"""The quorum: what other builders' runs of the same plan do to a comparison. They can only take an answer away.

1. A file that all builders gave alike keeps its verdict, whatever that is.
2. Where runs that succeeded gave different bytes, or only some gave the file, it is `undecided`, `disagreement`, and
   each builder's digest is a finding of its own. There is no majority: one of them built what the others did not.
3. Where those that succeeded agree and another did not succeed, it is `undecided`: the cause of that run's outcome, and
   `quorum-pending`.
4. Without agreement no builder's file is called the rebuilt one: no link and no provenance may vouch for bytes that
   perhaps nobody built. What each gave is in its record.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import assert_never

from rebuilder.compare.judge import cause_of
from rebuilder.model.agreement import Agreement, agreement, digest_in, only_elsewhere
from rebuilder.model.cause import Cause, in_reporting_order
from rebuilder.model.comparison import ArtifactComparison, Comparison, Finding
from rebuilder.model.rebuild import Rebuild
from rebuilder.model.verdict import Outcome, Verdict


def judge_quorum(comparison: Comparison, rebuild: Rebuild, others: Sequence[Rebuild]) -> Comparison:
    """Judge a comparison of `rebuild` again in the light of other builders' runs; without any it stays as it is."""
    runs = (rebuild, *others)
    judged = [_judge(artifact, runs) for artifact in comparison.artifacts]
    named = {artifact.filename for artifact in comparison.artifacts}
    judged += [_disagreed(_absent(name), runs) for name in only_elsewhere(rebuild, others) if name not in named]
    return replace(comparison, artifacts=tuple(judged))


def reason_of(comparison: Comparison, runs: Sequence[Rebuild]) -> str:
    """Say in one sentence why a quorum gave no answer; empty where it gave one."""
    apart = [artifact.filename for artifact in comparison.artifacts if Cause.DISAGREEMENT in artifact.causes]
    if apart:
        more = f" and {len(apart) - 1} more" if len(apart) > 1 else ""
        made = ", ".join(f"{run.builder[:16]} {digest_in(run, apart[0]) or 'none'}" for run in runs)
        return f"{len(runs)} builders do not agree about {apart[0]}{more}: {made}"
    failed = [run for run in runs if run.outcome is not Outcome.SUCCEEDED]
    if failed and any(Cause.QUORUM_PENDING in artifact.causes for artifact in comparison.artifacts):
        return f"{len(failed)} of {len(runs)} builders gave no file: {failed[0].builder[:16]}: {failed[0].reason}"
    return ""


def _judge(artifact: ArtifactComparison, runs: Sequence[Rebuild]) -> ArtifactComparison:
    match answer := agreement(runs, artifact.filename):
        case Agreement.UNANIMOUS:
            return artifact
        case Agreement.DISAGREEING:
            return _disagreed(artifact, runs)
        case Agreement.INCOMPLETE:
            causes = {cause_of(run.outcome) for run in runs if run.outcome is not Outcome.SUCCEEDED}
            return _undecided(artifact, causes | {Cause.QUORUM_PENDING})
        case _:
            assert_never(answer)


def _disagreed(artifact: ArtifactComparison, runs: Sequence[Rebuild]) -> ArtifactComparison:
    return replace(
        _undecided(artifact, {Cause.DISAGREEMENT}),
        findings=tuple(_finding(artifact, run) for run in runs),
    )


def _finding(artifact: ArtifactComparison, run: Rebuild) -> Finding:
    made = digest_in(run, artifact.filename)
    gave = "gave this file" if made is not None else "gave no such file"
    return Finding(
        path=artifact.filename,
        cause=Cause.DISAGREEMENT,
        detail=f"builder {run.builder} {gave if run.outcome is Outcome.SUCCEEDED else 'did not succeed'}",
        reference=str(artifact.reference.digest) if artifact.reference is not None else None,
        rebuilt=str(made) if made is not None else None,
    )


def _undecided(artifact: ArtifactComparison, causes: set[Cause]) -> ArtifactComparison:
    """Take an answer away with everything that hung on it; why there was none before stays."""
    kept = artifact.causes if artifact.verdict is Verdict.UNDECIDED else ()
    return ArtifactComparison(
        filename=artifact.filename,
        verdict=Verdict.UNDECIDED,
        causes=in_reporting_order(causes | set(kept)),
        reference=artifact.reference,
        rebuilt=None,
    )


def _absent(filename: str) -> ArtifactComparison:
    return ArtifactComparison(filename=filename, verdict=Verdict.UNDECIDED, causes=(), reference=None, rebuilt=None)
