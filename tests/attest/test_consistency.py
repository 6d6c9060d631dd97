"""A dossier says what follows from its facts; each lie has a name here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from rebuilder.attest.consistency import verify_dossier
from rebuilder.errors import HostileInput
from rebuilder.model.cause import Cause
from rebuilder.model.codec import render
from rebuilder.model.comparison import ArtifactComparison, Finding, Inference, InferredCause
from rebuilder.model.digest import Digest
from rebuilder.model.dossier import Dossier
from rebuilder.model.plan import Plan
from rebuilder.model.rebuild import Rebuild
from rebuilder.model.verdict import Control, Outcome, Verdict
from tests.attest.factory import STABILIZER, T0, T1, dossier, file_of, pulled, refused

R, E, U, D = Verdict.REPRODUCED, Verdict.EQUIVALENT, Verdict.UNDECIDED, Verdict.DIFFERENT
GRAVE = (Cause.MAINTAINER_SCRIPT_CHANGED, Cause.SETUID_CHANGED, Cause.PAYLOAD_CHANGED, Cause.FILE_MODES)


def compared(value: Dossier, **changes: object) -> Dossier:
    """Change members of the first artifact's comparison."""
    first, *rest = value.comparison.artifacts
    return replace(value, comparison=replace(value.comparison, artifacts=(replace(first, **changes), *rest)))  # type: ignore[arg-type]


def planned(value: Dossier, **changes: object) -> Dossier:
    """Change members of the plan."""
    plan: Plan | None = value.plan
    assert plan is not None
    return replace(value, plan=replace(plan, **changes))  # type: ignore[arg-type]


def rebuilt(value: Dossier, **changes: object) -> Dossier:
    """Change members of the rebuild."""
    run: Rebuild | None = value.rebuild
    assert run is not None
    return replace(value, rebuild=replace(run, **changes))  # type: ignore[arg-type]


def controlled(value: Dossier, **changes: object) -> Dossier:
    """Change members of the control run."""
    run: Rebuild | None = value.control
    assert run is not None
    return replace(value, control=replace(run, **changes))  # type: ignore[arg-type]


def first(value: Dossier) -> ArtifactComparison:
    """Give the first artifact's comparison."""
    return value.comparison.artifacts[0]


def one(verdict: Verdict) -> Dossier:
    """Make a dossier with one artifact of this verdict."""
    return dossier({"sample": verdict}).dossier


def with_findings(value: Dossier, *findings: Finding) -> Dossier:
    """Give the first artifact these findings."""
    return compared(value, findings=findings)


@pytest.mark.parametrize("verdict", list(Verdict))
def test_honest_dossiers_hold(verdict: Verdict) -> None:
    """The factory's dossier of each verdict is consistent."""
    verify_dossier(one(verdict))


def test_a_rebuild_in_a_pulled_image_holds_and_another_image_does_not() -> None:
    """The id that the lock records is the plan's, or the lock is of another image."""
    value = pulled()
    verify_dossier(value)
    assert value.plan is not None
    assert value.rebuild is not None
    environment = replace(value.plan.environment, image=Digest.of(b"another"))
    plan = replace(value.plan, environment=environment)
    lie = replace(value, plan=plan, rebuild=replace(value.rebuild, plan=Digest.of(render(plan))))
    with pytest.raises(HostileInput, match="pulled image that is not the one that the plan names"):
        verify_dossier(lie)


def test_a_refused_release_holds() -> None:
    """Not built, undecided with the refusal's cause."""
    verify_dossier(refused().dossier)


def test_a_failed_build_holds() -> None:
    """A build that failed leaves every artifact undecided."""
    value = rebuilt(one(R), outcome=Outcome.FAILED, outputs=())
    verify_dossier(compared(value, verdict=U, causes=(Cause.BUILD_FAILED,), rebuilt=None))


def test_a_missing_output_holds() -> None:
    """What was published and not built is different, and says so."""
    value = rebuilt(one(R), outputs=())
    verify_dossier(compared(value, verdict=D, causes=(Cause.MISSING_OUTPUT,), rebuilt=None))


def test_a_comparison_that_could_not_be_made_holds() -> None:
    """The build succeeded and comparing did not: no answer, with the cause."""
    verify_dossier(
        compared(
            one(D),
            verdict=U,
            causes=(Cause.RESOURCE_EXHAUSTED,),
            rebuilt=None,
            findings=(),
            control=Control.NOT_NEEDED,
            control_digest=None,
            reports=(),
        )
    )


def test_an_extra_output_holds() -> None:
    """What was built and not published is listed as such."""
    value = one(R)
    extra = file_of("extra_1.0-1_amd64.deb", b"extra")
    comparison = ArtifactComparison(
        filename=extra.filename, verdict=D, causes=(Cause.EXTRA_OUTPUT,), reference=None, rebuilt=extra
    )
    assert value.rebuild is not None
    value = rebuilt(value, outputs=(*value.rebuild.outputs, extra))
    both = (*value.comparison.artifacts, comparison)
    verify_dossier(replace(value, comparison=replace(value.comparison, artifacts=both)))


def _finding(cause: Cause, *, removed: bool) -> Finding:
    return Finding(path="x", cause=cause, detail="x", removed_by=STABILIZER if removed else None)


OTHER = file_of("sample_1.0-1_amd64.deb", b"other bytes")


def inferring(value: Dossier, cause: Cause = Cause.BUILD_DATE, *, omitted: int = 0, **changes: object) -> Dossier:
    """Say that diffoscope's report points to a cause."""
    named = InferredCause(cause=cause, path="data.tar/./x", detail="one line")
    inference = Inference(rule="diffoscope-json/1", causes=(named,), omitted=omitted)
    return compared(value, inference=inference, **changes)


def test_what_diffoscope_says_beside_a_difference_holds() -> None:
    """An inferred cause stands beside our own, which stay."""
    value = inferring(one(D))
    verify_dossier(value)
    assert first(value).causes == (Cause.PAYLOAD_CHANGED,)
    assert first(value).inferred_causes == (Cause.BUILD_DATE,)


VERDICT_LIES: dict[str, tuple[Callable[[], Dossier], str]] = {
    "different-digests-called-reproduced": (
        lambda: compared(one(D), verdict=R, causes=(), findings=(), control=Control.NOT_RUN, control_digest=None),
        "reproduced means equal digests",
    ),
    "equal-digests-called-different": (
        lambda: compared(one(R), verdict=D, causes=(Cause.PAYLOAD_CHANGED,)),
        "reproduced means equal digests",
    ),
    "equal-digests-called-undecided": (
        lambda: compared(one(R), verdict=U, causes=(Cause.INFRASTRUCTURE,)),
        "reproduced means equal digests",
    ),
    "equal-digests-called-equivalent": (
        lambda: compared(one(R), verdict=E, causes=(Cause.BUILD_ID,), stabilizers=(STABILIZER,)),
        "reproduced means equal digests",
    ),
    "security-relevant-by-diffoscope's-word": (
        lambda: inferring(one(D), Cause.SETUID_CHANGED),
        "only our own findings can give",
    ),
    "no-answer-by-diffoscope's-word": (lambda: inferring(one(D), Cause.TIMED_OUT), "only our own findings can give"),
    "inferred-from-no-report": (lambda: inferring(one(D), reports=()), "a report that is not named"),
    "inferred-for-equal-bytes": (
        lambda: inferring(one(R), reports=(("diffoscope-json", Digest.of(b"{}")),)),
        "nothing was compared that differs",
    ),
    "inferred-with-a-negative-number": (lambda: inferring(one(D), omitted=-1), "a negative number of inferred causes"),
    "reproduced-with-a-cause": (lambda: compared(one(R), causes=(Cause.TIMESTAMPS,)), "yet there are differences"),
    "reproduced-by-a-stabilizer": (lambda: compared(one(R), stabilizers=(STABILIZER,)), "without any stabilizer"),
    "equivalent-without-stabilizer": (lambda: compared(one(E), stabilizers=()), "needs the stabilizers"),
    "equivalent-without-findings": (lambda: compared(one(E), findings=()), "needs the differences"),
    "equivalent-with-a-remaining-finding": (
        lambda: with_findings(one(E), *first(one(E)).findings, _finding(Cause.BUILD_ID, removed=False)),
        "removed by no stabilizer",
    ),
    "equivalent-by-an-unnamed-stabilizer": (
        lambda: compared(one(E), stabilizers=(replace(STABILIZER, version=2),)),
        "removed by no stabilizer",
    ),
    "equivalent-hides-a-finding's-cause": (lambda: compared(one(E), causes=()), "leave out a finding's"),
    "different-without-cause": (lambda: compared(one(D), causes=()), "different needs a cause"),
    "different-yet-all-stabilized": (
        lambda: with_findings(one(D), _finding(Cause.BUILD_ID, removed=True)),
        "stabilizers remove every difference",
    ),
    "different-with-a-cause-of-no-answer": (
        lambda: compared(one(D), causes=(Cause.PAYLOAD_CHANGED, Cause.TIMED_OUT)),
        "a cause of no answer beside an answer",
    ),
    "different-without-a-file-or-its-cause": (
        lambda: compared(
            rebuilt(one(D), outputs=()), rebuilt=None, control=Control.NOT_RUN, control_digest=None, findings=()
        ),
        "different needs both files",
    ),
    "undecided-without-cause": (lambda: compared(one(U), causes=()), "undecided needs a cause"),
    "undecided-with-a-cause-of-difference": (
        lambda: compared(one(U), causes=(Cause.TIMESTAMPS,)),
        "undecided needs a cause",
    ),
    "no-reference-although-there-is-one": (
        lambda: compared(rebuilt(one(R), outputs=()), verdict=U, causes=(Cause.NO_REFERENCE,), rebuilt=None),
        "but there is a reference",
    ),
    "causes-out-of-order": (
        lambda: compared(one(D), causes=(Cause.TIMESTAMPS, Cause.PAYLOAD_CHANGED)),
        "reporting order",
    ),
    "cause-twice": (lambda: compared(one(D), causes=(Cause.PAYLOAD_CHANGED,) * 2), "reporting order"),
    "negative-omissions": (lambda: compared(one(R), findings_omitted=-1), "negative number"),
    "verdict-of-a-failed-build": (lambda: rebuilt(one(R), outcome=Outcome.FAILED), "needs a rebuild that succeeded"),
    **{
        f"equivalent-hides-{cause}": (
            lambda cause=cause: compared(  # type: ignore[misc]
                one(E), causes=(cause,), findings=(_finding(cause, removed=True),)
            ),
            "can never be stabilized away",
        )
        for cause in GRAVE
    },
}

FACT_LIES: dict[str, tuple[Callable[[], Dossier], str]] = {
    "artifact-dropped": (
        lambda: replace(
            dossier({"a": R, "b": D}).dossier,
            comparison=replace(one(R).comparison, artifacts=dossier({"a": R}).dossier.comparison.artifacts),
        ),
        "was released and is not compared",
    ),
    "nothing-compared": (
        lambda: replace(one(R), comparison=replace(one(R).comparison, artifacts=())),
        "no artifact is compared",
    ),
    "artifact-twice": (
        lambda: replace(one(R), comparison=replace(one(R).comparison, artifacts=one(R).comparison.artifacts * 2)),
        "compared twice",
    ),
    "reference-swapped": (
        lambda: compared(rebuilt(one(R), outputs=(OTHER,)), reference=OTHER, rebuilt=OTHER),
        "the reference is not the release's",
    ),
    "rebuilt-swapped": (lambda: compared(one(D), rebuilt=OTHER), "not what the builder reported"),
    "output-left-out": (
        lambda: compared(one(D), rebuilt=None, causes=(Cause.MISSING_OUTPUT,), findings=()),
        "was built and is left out",
    ),
    "output-listed-twice": (lambda: rebuilt(one(R), outputs=(OTHER, OTHER)), "lists an output twice"),
    "path-in-a-file-name": (
        lambda: compared(replace(one(R), release=replace(one(R).release, artifacts=())), filename="../x"),
        "not a plain relative path",
    ),
    "rebuild-of-another-plan": (lambda: rebuilt(one(R), plan=Digest.of(b"another")), "is of plan"),
    "rebuild-without-plan": (lambda: replace(one(R), plan=None), "a rebuild without a plan"),
    "plan-changed-afterwards": (lambda: planned(one(R), script="touch done\n"), "not of the dossier's plan"),
    "plan-of-another-package": (lambda: planned(one(R), name="other"), "the plan is for deb other"),
    "plan-of-another-architecture": (lambda: planned(one(R), architecture="arm64"), "the plan is for deb sample arm64"),
    "unauthenticated-source": (
        lambda: planned(one(R), sources=(file_of("evil.tar.xz", b"evil"),)),
        "planned as a source, but not of the release",
    ),
    "source-with-other-bytes": (
        lambda: planned(one(R), sources=(file_of("sample_1.0.orig.tar.xz", b"evil"),)),
        "planned as a source, but not of the release",
    ),
    "lock-swapped": (
        lambda: replace(one(R), lock=replace(one(R).lock, suite="sid")),  # type: ignore[type-var]
        "not the one that the plan names",
    ),
    "run-that-ended-before-it-began": (lambda: rebuilt(one(R), started_at=T1, finished_at=T0), "before it began"),
    "refused-and-built": (
        lambda: replace(one(R), trust=refused().dossier.trust),
        "a release that policy refused was built",
    ),
    "refused-and-answered": (
        lambda: compared(refused().dossier, causes=(Cause.TIMED_OUT,)),
        "undecided with the refusal's cause",
    ),
    "control-without-rebuild": (
        lambda: replace(one(D), rebuild=None),
        "a control run without a rebuild",
    ),
    "control-is-the-rebuild": (lambda: controlled(one(D), ordinal=0), "is the rebuild itself"),
    "control-in-a-used-environment": (
        lambda: controlled(one(D), fresh_environment=False),
        "used a prepared environment",
    ),
    "control-of-another-plan": (lambda: controlled(one(D), plan=Digest.of(b"x")), "is of plan"),
    "control-called-deterministic": (
        lambda: controlled(one(D), outputs=(OTHER,)),
        "control `deterministic` does not follow",
    ),
    "control-called-nondeterministic": (
        lambda: compared(one(D), control=Control.NONDETERMINISTIC),
        "control `nondeterministic` does not follow",
    ),
    "control-called-failed": (lambda: compared(one(D), control=Control.FAILED), "control `failed` does not follow"),
    "control-digest-without-control": (
        lambda: compared(one(R), control_digest=Digest.of(b"x")),
        "control `not-needed` does not follow",
    ),
    "control-answer-without-run": (
        lambda: compared(one(R), control=Control.DETERMINISTIC),
        "control `deterministic` does not follow",
    ),
}


@pytest.mark.parametrize("name", [*VERDICT_LIES])
def test_attack_verdict(name: str) -> None:
    """A verdict that does not follow from digests and findings is refused, and named."""
    make, message = VERDICT_LIES[name]
    with pytest.raises(HostileInput, match=message):
        verify_dossier(make())


@pytest.mark.parametrize("name", [*FACT_LIES])
def test_attack_facts(name: str) -> None:
    """Facts that contradict each other are refused, and named."""
    make, message = FACT_LIES[name]
    with pytest.raises(HostileInput, match=message):
        verify_dossier(make())


def test_a_nondeterministic_build_holds() -> None:
    """Two runs that differ from each other: the control says so, with its own digest."""
    value = controlled(one(D), outputs=(OTHER,))
    verify_dossier(compared(value, control=Control.NONDETERMINISTIC, control_digest=OTHER.digest))


def test_a_control_that_failed_holds() -> None:
    """A control run without a result changes nothing about the verdict."""
    value = controlled(one(D), outcome=Outcome.TIMED_OUT, outputs=())
    verify_dossier(compared(value, control=Control.FAILED, control_digest=None))
    verify_dossier(compared(replace(value, control=None), control=Control.FAILED, control_digest=None))
