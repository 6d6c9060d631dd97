"""Whether a dossier says what follows from its own facts: the rules that signer and reader apply again.

Nothing is opened or downloaded here. A comparer or a coordinator that was taken over can lie about what is inside an
archive; it cannot call different digests reproduced, drop an artifact, turn a refusal into an answer, or hide a
changed maintainer script behind a stabilizer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

from rebuilder.attest.context import plan_id, verify_path
from rebuilder.errors import HostileInput
from rebuilder.model.agreement import Agreement, agreement, only_elsewhere
from rebuilder.model.cause import Cause, in_reporting_order
from rebuilder.model.codec import render
from rebuilder.model.comparison import INFERABLE, ArtifactComparison
from rebuilder.model.digest import Digest
from rebuilder.model.dossier import Dossier
from rebuilder.model.rebuild import Rebuild
from rebuilder.model.release import FileReference
from rebuilder.model.verdict import Control, Outcome, Verdict

NO_ANSWER = frozenset(list(Cause)[list(Cause).index(Cause.NO_REFERENCE) :])
"""Causes that say why there is no answer; only these make `undecided`, and they make nothing else."""


def verify_dossier(dossier: Dossier) -> None:
    """Raise HostileInput at the first statement of a dossier that contradicts its other facts.

    1. The plan is of this release and architecture, from its authenticated sources, in the locked image.
    2. A refused release was not built, and is undecided with the refusal's cause.
    3. Each run is a run of this plan; the control run is another run, in a fresh environment. Runs of a quorum are by
       distinct builders, none in an environment that another run used.
    4. Every artifact of the release is compared exactly once, with the reference that the release names.
    5. Each comparison's rebuilt file is an output of the rebuild, and its verdict follows from the digests: of all
       builders, for there is an answer only where they agree.
    6. Each control answer follows from the control run's digests.
    7. What was inferred from diffoscope's report stands beside an answer that has one, and is never security-relevant.
    """
    _plan(dossier)
    _trust(dossier)
    _runs(dossier)
    _coverage(dossier)
    for comparison in dossier.comparison.artifacts:
        _outputs(dossier, comparison)
        _quorum(dossier, comparison)
        _verdict(dossier, comparison)
        _control(dossier, comparison)
        _inference(comparison)


def _plan(dossier: Dossier) -> None:
    plan, release = dossier.plan, dossier.release
    if plan is None:
        _require(dossier.rebuild is None, "a rebuild without a plan")
        return
    _require(
        (plan.ecosystem, plan.name, plan.architecture) == (release.ecosystem, release.name, dossier.architecture),
        f"the plan is for {plan.ecosystem} {plan.name} {plan.architecture}, "
        f"the release is {release.ecosystem} {release.name} {dossier.architecture}",
    )
    signed_for = {_identity(source) for source in release.sources}
    for source in plan.sources:
        _require(_identity(source) in signed_for, f"{source.filename} is planned as a source, but not of the release")
    if dossier.lock is not None:
        _require(
            Digest.of(render(dossier.lock)) == plan.environment.lock,
            "the image lock is not the one that the plan names",
        )
        _require(
            dossier.lock.pulled is None or dossier.lock.pulled.image == plan.environment.image,
            "the image lock is of a pulled image that is not the one that the plan names",
        )


def _trust(dossier: Dossier) -> None:
    if dossier.trust.accepted:
        return
    _require(dossier.rebuild is None, "a release that policy refused was built")
    for comparison in dossier.comparison.artifacts:
        _require(
            comparison.verdict is Verdict.UNDECIDED and dossier.trust.cause in comparison.causes,
            f"{comparison.filename}: a refused release is undecided with the refusal's cause",
        )


def _runs(dossier: Dossier) -> None:
    rebuild, control = dossier.rebuild, dossier.control
    for run in (rebuild, control, *dossier.others):
        if run is not None:
            _require(
                run.plan == plan_id(dossier), f"run {run.ordinal} is of plan {run.plan}, not of the dossier's plan"
            )
            _require(run.started_at <= run.finished_at, f"run {run.ordinal} ended before it began")
            _names = [output.filename for output in run.outputs]
            _require(len(set(_names)) == len(_names), f"run {run.ordinal} lists an output twice")
    if control is not None:
        _require(rebuild is not None, "a control run without a rebuild")
        _require(
            all((control.builder, control.ordinal) != (run.builder, run.ordinal) for run in dossier.runs),
            "the control run is the rebuild itself",
        )
        _require(control.fresh_environment, "the control run used a prepared environment of an earlier run")
    if dossier.others:
        _require(rebuild is not None, "runs of other builders without a rebuild")
        builders = [run.builder for run in dossier.runs]
        _require(len(set(builders)) == len(builders), "a builder is counted twice in the quorum")
        shared = [run.builder[:16] for run in dossier.runs if not run.fresh_environment]
        _require(not shared, f"builder {shared[0] if shared else ''} used a prepared environment of an earlier run")


def _coverage(dossier: Dossier) -> None:
    compared = [comparison.filename for comparison in dossier.comparison.artifacts]
    _require(len(compared) > 0, "no artifact is compared")
    _require(len(set(compared)) == len(compared), "an artifact is compared twice")
    references = {artifact.filename: artifact.reference for artifact in dossier.release.artifacts}
    for filename in references:
        _require(filename in compared, f"{filename} was released and is not compared")
    for filename in only_elsewhere(dossier.runs[0], dossier.others) if dossier.others else ():
        _require(filename in compared, f"{filename} was given by another builder alone and is not compared")
    for comparison in dossier.comparison.artifacts:
        verify_path(comparison.filename)
        expected = references.get(comparison.filename)
        found = comparison.reference
        same = found is expected or (found and expected and _identity(found) == _identity(expected))
        _require(bool(same), f"{comparison.filename}: the reference is not the release's")


def _outputs(dossier: Dossier, comparison: ArtifactComparison) -> None:
    made = _output(dossier.rebuild, comparison.filename)
    if comparison.rebuilt is not None:
        _require(
            made is not None and _identity(comparison.rebuilt) == _identity(made),
            f"{comparison.filename}: what was compared is not what the builder reported",
        )
    elif comparison.verdict is not Verdict.UNDECIDED:
        _require(made is None, f"{comparison.filename} was built and is left out of the comparison")


def _quorum(dossier: Dossier, comparison: ArtifactComparison) -> None:
    """Builders that differ, or one that gave nothing, leave no answer, and a cause that says which of the two it is."""

    def require(holds: bool, what: str) -> None:  # noqa: FBT001 - reads as a sentence
        _require(holds, f"{comparison.filename}: {what}")

    answer = agreement(dossier.runs, comparison.filename)
    apart, pending = answer is Agreement.DISAGREEING, answer is Agreement.INCOMPLETE
    if apart or pending:
        require(comparison.verdict is Verdict.UNDECIDED, f"builders are {answer}, and that leaves no answer")
        require(comparison.rebuilt is None, f"builders are {answer}, and one's file is called the rebuilt one")
    named = Cause.DISAGREEMENT in comparison.causes
    require(named == apart, "`disagreement` is a cause when builders gave different bytes, and only then")
    waits = Cause.QUORUM_PENDING in comparison.causes
    require(waits or not pending, "a builder of the quorum did not succeed, and `quorum-pending` is no cause")
    require(not waits or comparison.rebuilt is None, "`quorum-pending`, yet a file is called the rebuilt one")


def _verdict(dossier: Dossier, comparison: ArtifactComparison) -> None:
    def require(holds: bool, what: str) -> None:  # noqa: FBT001 - reads as a sentence
        _require(holds, f"{comparison.filename}: {what}")

    equal = (
        comparison.reference is not None
        and comparison.rebuilt is not None
        and (comparison.reference.digest == comparison.rebuilt.digest)
    )
    require(equal == (comparison.verdict is Verdict.REPRODUCED), "reproduced means equal digests, and only that")
    require(comparison.causes == in_reporting_order(comparison.causes), "causes are listed once, in reporting order")
    require(comparison.findings_omitted >= 0, "a negative number of findings was left out")
    built = dossier.rebuild is not None and dossier.rebuild.outcome is Outcome.SUCCEEDED
    if comparison.verdict is Verdict.UNDECIDED:
        require(any(cause in NO_ANSWER for cause in comparison.causes), "undecided needs a cause that says why")
        named = Cause.NO_REFERENCE in comparison.causes
        require(not named or comparison.reference is None, "`no-reference`, but there is a reference")
        return
    require(built, "a verdict needs a rebuild that succeeded")
    require(not any(cause in NO_ANSWER for cause in comparison.causes), "a cause of no answer beside an answer")
    _answer(comparison, require)


def _answer(comparison: ArtifactComparison, require: Callable[[bool, str], None]) -> None:
    both = comparison.reference is not None and comparison.rebuilt is not None
    found = {finding.cause for finding in comparison.findings}
    match comparison.verdict:
        case Verdict.REPRODUCED:
            require(not comparison.causes and not comparison.findings, "reproduced, yet there are differences")
            require(not comparison.stabilizers, "reproduced means bit-identical, without any stabilizer")
        case Verdict.EQUIVALENT:
            require(both, "equivalent needs a reference and a rebuilt file")
            require(len(comparison.stabilizers) > 0, "equivalent needs the stabilizers that made it so")
            require(len(comparison.findings) > 0, "equivalent needs the differences that were removed")
            removed = all(finding.removed_by in comparison.stabilizers for finding in comparison.findings)
            require(removed, "equivalent, yet a difference is removed by no stabilizer")
            grave = any(cause.is_security_relevant for cause in found | set(comparison.causes))
            require(not grave, "a security-relevant difference can never be stabilized away")
            require(found <= set(comparison.causes), "the causes leave out a finding's")
        case Verdict.DIFFERENT:
            require(len(comparison.causes) > 0, "different needs a cause")
            require(
                both or _one_side_is_named(comparison), "different needs both files, or the cause that one is absent"
            )
            remains = any(finding.removed_by is None for finding in comparison.findings)
            known = both and len(comparison.findings) > 0 and comparison.findings_omitted == 0
            require(remains or not known, "different, yet stabilizers remove every difference")
        case Verdict.UNDECIDED:
            raise AssertionError("handled by the caller")
        case _:
            assert_never(comparison.verdict)


def _one_side_is_named(comparison: ArtifactComparison) -> bool:
    if comparison.rebuilt is None:
        return Cause.MISSING_OUTPUT in comparison.causes and comparison.reference is not None
    return Cause.EXTRA_OUTPUT in comparison.causes and comparison.reference is None


def _control(dossier: Dossier, comparison: ArtifactComparison) -> None:
    made = _output(dossier.control, comparison.filename)
    again = made.digest if made is not None else None
    first = comparison.rebuilt.digest if comparison.rebuilt is not None else None
    succeeded = dossier.control is not None and dossier.control.outcome is Outcome.SUCCEEDED
    match comparison.control:
        case Control.DETERMINISTIC:
            holds = succeeded and again == first and comparison.control_digest == again
        case Control.NONDETERMINISTIC:
            holds = succeeded and again != first and comparison.control_digest == again
        case Control.FAILED:
            holds = (dossier.control is None or not succeeded) and comparison.control_digest is None
        case Control.NOT_NEEDED | Control.NOT_RUN:
            holds = comparison.control_digest is None
        case _:
            assert_never(comparison.control)
    _require(holds, f"{comparison.filename}: control `{comparison.control}` does not follow from the control run")


def _inference(comparison: ArtifactComparison) -> None:
    inference = comparison.inference
    if inference is None:
        return
    name = comparison.filename
    reported = any(kind == "diffoscope-json" for kind, _ in comparison.reports)
    _require(reported, f"{name}: causes are inferred from a report that is not named")
    apart = comparison.verdict in {Verdict.EQUIVALENT, Verdict.DIFFERENT}
    _require(apart, f"{name}: causes are inferred, but nothing was compared that differs")
    _require(
        all(each.cause in INFERABLE for each in inference.causes),
        f"{name}: a cause is inferred that only our own findings can give",
    )
    _require(inference.omitted >= 0, f"{name}: a negative number of inferred causes was left out")


def _output(run: Rebuild | None, filename: str) -> FileReference | None:
    outputs = run.outputs if run is not None else ()
    return next((output for output in outputs if output.filename == filename), None)


def _identity(file: FileReference) -> tuple[str, int, Digest]:
    return file.filename, file.size_bytes, file.digest


def _require(holds: bool, what: str) -> None:  # noqa: FBT001 - reads as a sentence
    if not holds:
        raise HostileInput(f"inconsistent dossier: {what}", hint="do not trust whoever put these documents together")
