"""From what was published, what was rebuilt and what was found to one verdict for each artifact. Pure.

1. Nothing is dropped: an artifact without a reference is `undecided` (no-reference), one without an output is
   `different` (missing-output), an output that the release does not have is listed as `different` (extra-output).
2. Left aside are debug symbol packages and installer packages (udebs), whose references are in other indices, unless
   the release names them; and the build's own papers (.buildinfo, .changes).
3. A run that did not succeed makes every artifact `undecided`, with the run's cause.
4. The control rebuild never changes a verdict. It says whether a difference comes back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import assert_never

from rebuilder.compare.rule import rule_for
from rebuilder.errors import DigestMismatch
from rebuilder.model.cause import Cause, in_reporting_order
from rebuilder.model.comparison import ArtifactComparison, Comparison, Finding
from rebuilder.model.digest import Digest
from rebuilder.model.rebuild import Rebuild
from rebuilder.model.release import Artifact, FileReference, Release, is_aside
from rebuilder.model.verdict import Control, Outcome, Verdict

Compared = Mapping[str, ArtifactComparison]
"""What was found inside artifacts whose digests differ, by file name."""

_TELLS_NOTHING = frozenset({Cause.MAINTAINER_SCRIPT_CHANGED, Cause.PAYLOAD_CHANGED, Cause.ARCHIVE_METADATA})
"""Causes that name what differs, not where it comes from."""


def pairs_to_open(release: Release, rebuild: Rebuild) -> tuple[tuple[FileReference, FileReference], ...]:
    """Return reference and output of each artifact whose digests differ: what `judge` must be told about."""
    outputs = _outputs(rebuild)
    return tuple(
        (artifact.reference, output)
        for artifact in release.artifacts
        if artifact.reference is not None
        and (output := outputs.get(artifact.filename)) is not None
        and output.digest != artifact.reference.digest
    )


def judge(release: Release, rebuild: Rebuild, compared: Compared, control: Rebuild | None = None) -> Comparison:
    """Judge every artifact; `compared` holds what was found for each of `pairs_to_open`.

    Raise DigestMismatch when what was compared is not what was published and rebuilt.
    """
    rule = rule_for(release.ecosystem).id
    if rebuild.outcome is not Outcome.SUCCEEDED:
        return judge_undecided(release, cause_of(rebuild.outcome))
    outputs = _outputs(rebuild)
    judged = [_judge_artifact(artifact, outputs, compared) for artifact in release.artifacts]
    named = {artifact.filename for artifact in release.artifacts} | set(release.aside)
    judged += [_extra(output) for name, output in outputs.items() if name not in named and not is_aside(name)]
    return judge_control(Comparison(rule=rule, artifacts=tuple(judged)), control)


def judge_undecided(release: Release, cause: Cause) -> Comparison:
    """Judge every artifact `undecided` for one cause: nothing was rebuilt."""
    artifacts = tuple(
        ArtifactComparison(
            filename=artifact.filename,
            verdict=Verdict.UNDECIDED,
            causes=(cause,),
            reference=artifact.reference,
            rebuilt=None,
        )
        for artifact in release.artifacts
    )
    return Comparison(rule=rule_for(release.ecosystem).id, artifacts=artifacts)


def judge_control(comparison: Comparison, control: Rebuild | None) -> Comparison:
    """Say for each difference whether it came back in the control rebuild; None means that none was run."""
    artifacts = tuple(_with_control(artifact, control) for artifact in comparison.artifacts)
    return replace(comparison, artifacts=artifacts)


def needs_control(comparison: Comparison) -> bool:
    """Whether there is a difference that a control rebuild can say something about."""
    return any(_is_controllable(artifact) for artifact in comparison.artifacts)


def cause_of(outcome: Outcome) -> Cause:
    """Return why there is no answer after a run that did not succeed; raise ValueError for one that did."""
    match outcome:
        case Outcome.FAILED:
            return Cause.BUILD_FAILED
        case Outcome.TIMED_OUT:
            return Cause.TIMED_OUT
        case Outcome.RESOURCE_EXHAUSTED:
            return Cause.RESOURCE_EXHAUSTED
        case Outcome.SUCCEEDED:
            raise ValueError("a run that succeeded has no cause")
        case _:
            assert_never(outcome)


def _outputs(rebuild: Rebuild) -> dict[str, FileReference]:
    return {output.filename: output for output in rebuild.outputs}


def _judge_artifact(artifact: Artifact, outputs: dict[str, FileReference], compared: Compared) -> ArtifactComparison:
    output = outputs.get(artifact.filename)
    if artifact.reference is None:
        return _plain(artifact.filename, Verdict.UNDECIDED, Cause.NO_REFERENCE, None, output)
    if output is None:
        return _plain(artifact.filename, Verdict.DIFFERENT, Cause.MISSING_OUTPUT, artifact.reference, None)
    if output.digest == artifact.reference.digest:
        return _plain(artifact.filename, Verdict.REPRODUCED, None, artifact.reference, output)
    if artifact.filename not in compared:
        raise DigestMismatch(f"{artifact.filename}: the digests differ, but nothing was compared")
    found = compared[artifact.filename]
    _verify_compared(artifact.filename, (found.reference, found.rebuilt), (artifact.reference, output))
    return replace(found, filename=artifact.filename, reference=artifact.reference, rebuilt=output)


def _verify_compared(
    filename: str, found: tuple[FileReference | None, ...], expected: tuple[FileReference, ...]
) -> None:
    digests = [None if reference is None else reference.digest for reference in found]
    if digests != [reference.digest for reference in expected]:
        raise DigestMismatch(
            f"{filename}: expected a comparison of {' with '.join(str(r.digest) for r in expected)}, "
            f"found one of {' with '.join(str(digest) for digest in digests)}",
            hint="the files changed between rebuilding and comparing",
        )


def _plain(
    filename: str, verdict: Verdict, cause: Cause | None, reference: FileReference | None, rebuilt: FileReference | None
) -> ArtifactComparison:
    return ArtifactComparison(
        filename=filename,
        verdict=verdict,
        causes=() if cause is None else (cause,),
        reference=reference,
        rebuilt=rebuilt,
    )


def _extra(output: FileReference) -> ArtifactComparison:
    return _plain(output.filename, Verdict.DIFFERENT, Cause.EXTRA_OUTPUT, None, output)


def _is_controllable(artifact: ArtifactComparison) -> bool:
    return artifact.verdict is Verdict.DIFFERENT and artifact.reference is not None


def _with_control(artifact: ArtifactComparison, control: Rebuild | None) -> ArtifactComparison:
    if not _is_controllable(artifact):
        return artifact
    if control is None:
        return replace(artifact, control=Control.NOT_RUN)
    if control.outcome is not Outcome.SUCCEEDED:
        return replace(artifact, control=Control.FAILED)
    again = _outputs(control).get(artifact.filename)
    first = None if artifact.rebuilt is None else artifact.rebuilt.digest
    second = None if again is None else again.digest
    if first == second:
        return replace(artifact, control=Control.DETERMINISTIC, control_digest=second)
    return _nondeterministic(artifact, second)


def _nondeterministic(artifact: ArtifactComparison, second: Digest | None) -> ArtifactComparison:
    """Two runs of one plan gave two results: randomness, unless the findings say where it comes from."""
    judged = replace(artifact, control=Control.NONDETERMINISTIC, control_digest=second)
    if not set(artifact.causes) <= _TELLS_NOTHING:
        return judged
    finding = Finding(
        path=artifact.filename,
        cause=Cause.RANDOMNESS,
        detail="two rebuilds of one plan, each in a freshly prepared environment, gave different bytes",
        reference=None,
        rebuilt=str(second) if second is not None else None,
    )
    return replace(
        judged,
        causes=in_reporting_order((*artifact.causes, Cause.RANDOMNESS)),
        findings=(*artifact.findings, finding),
    )
