"""One verdict for each artifact, and none is dropped."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from rebuilder.compare.judge import judge, judge_control, judge_undecided, needs_control, pairs_to_open
from rebuilder.errors import DigestMismatch
from rebuilder.model.cause import Cause
from rebuilder.model.comparison import ArtifactComparison, Finding
from rebuilder.model.digest import Digest
from rebuilder.model.rebuild import Machine, Rebuild
from rebuilder.model.release import Artifact, FileReference, Release
from rebuilder.model.verdict import Control, Outcome, Verdict

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NAME = "a_1_amd64.deb"


def file(name: str, content: bytes) -> FileReference:
    """Make a reference to bytes."""
    return FileReference(filename=name, size_bytes=len(content), digest=Digest.of(content))


def release(*references: FileReference, without: tuple[str, ...] = ()) -> Release:
    """Make a release of these files, and of some without a reference."""
    known = [(reference.filename, reference) for reference in references]
    return Release(
        target="pkg:deb/debian/a@1",
        ecosystem="deb",
        distribution="debian",
        suite="trixie",
        name="a",
        version="1",
        artifacts=tuple(
            Artifact(name=name, version="1", architecture="amd64", filename=name, reference=reference)
            for name, reference in (*known, *((name, None) for name in without))
        ),
        sources=(),
        evidence=(),
    )


def rebuild(*outputs: FileReference, outcome: Outcome = Outcome.SUCCEEDED) -> Rebuild:
    """Make a run that gave these files."""
    return Rebuild(
        plan=Digest.of(b"plan"),
        builder="key",
        ordinal=0,
        outcome=outcome,
        reason="",
        outputs=outputs,
        log=Digest.of(b""),
        environment_tree=Digest.of(b""),
        fresh_environment=True,
        machine=Machine(kernel="k", cpu_model="c", engine="e"),
        started_at=NOW,
        finished_at=NOW,
    )


def found(reference: FileReference, output: FileReference, *causes: Cause) -> ArtifactComparison:
    """Make what the comparison of two different files found."""
    findings = tuple(Finding(path="p", cause=cause, detail="d") for cause in causes)
    return ArtifactComparison(
        filename=NAME,
        verdict=Verdict.DIFFERENT,
        causes=causes,
        reference=reference,
        rebuilt=output,
        findings=findings,
    )


ONE, TWO, THREE = (file(NAME, content) for content in (b"one", b"two", b"three"))


def test_equal_digests_need_no_opening() -> None:
    """Equal digests are reproduced, and there is nothing to open."""
    published, run = release(ONE), rebuild(ONE)
    assert pairs_to_open(published, run) == ()
    (artifact,) = judge(published, run, {}).artifacts
    assert (artifact.verdict, artifact.causes, artifact.control) == (Verdict.REPRODUCED, (), Control.NOT_NEEDED)


def test_no_reference_is_not_different() -> None:
    """An artifact that nobody published is undecided, with its own cause."""
    (artifact,) = judge(release(without=(NAME,)), rebuild(ONE), {}).artifacts
    assert (artifact.verdict, artifact.causes) == (Verdict.UNDECIDED, (Cause.NO_REFERENCE,))
    assert artifact.rebuilt == ONE


def test_missing_and_extra_outputs_are_listed() -> None:
    """What only one side has is different; debug symbols, udebs and the build's papers are left aside."""
    aside = [file(n, b"") for n in ("a-dbgsym_1_amd64.deb", "a-udeb_1_amd64.udeb", "a_1.buildinfo", "a_1.changes")]
    artifacts = judge(release(ONE), rebuild(file("b_1_amd64.deb", b"b"), *aside), {}).artifacts
    assert [(a.filename, a.verdict, a.causes) for a in artifacts] == [
        (NAME, Verdict.DIFFERENT, (Cause.MISSING_OUTPUT,)),
        ("b_1_amd64.deb", Verdict.DIFFERENT, (Cause.EXTRA_OUTPUT,)),
    ]


def test_a_run_without_outputs_is_missing_outputs() -> None:
    """A run that succeeded and gave nothing reproduces nothing."""
    assert judge(release(ONE), rebuild(), {}).artifacts[0].causes == (Cause.MISSING_OUTPUT,)


@pytest.mark.parametrize(
    ("outcome", "cause"),
    [
        (Outcome.FAILED, Cause.BUILD_FAILED),
        (Outcome.TIMED_OUT, Cause.TIMED_OUT),
        (Outcome.RESOURCE_EXHAUSTED, Cause.RESOURCE_EXHAUSTED),
    ],
)
def test_a_run_that_did_not_succeed_decides_nothing(outcome: Outcome, cause: Cause) -> None:
    """Every artifact is undecided, whatever the run left behind."""
    (artifact,) = judge(release(ONE), rebuild(ONE, outcome=outcome), {}).artifacts
    assert (artifact.verdict, artifact.causes, artifact.reference) == (Verdict.UNDECIDED, (cause,), ONE)
    assert judge_undecided(release(ONE), cause).artifacts == (artifact,)


def test_what_was_compared_must_be_what_was_published() -> None:
    """A comparison of other bytes, or none, is refused."""
    with pytest.raises(DigestMismatch, match="nothing was compared"):
        judge(release(ONE), rebuild(TWO), {})
    with pytest.raises(DigestMismatch, match="expected a comparison of"):
        judge(release(ONE), rebuild(TWO), {NAME: found(ONE, THREE)})


def test_control_says_whether_a_difference_comes_back() -> None:
    """The same bytes twice: deterministic. Other bytes: nondeterministic, randomness unless the cause is known."""
    compared = {NAME: found(ONE, TWO, Cause.PAYLOAD_CHANGED)}
    first = judge(release(ONE), rebuild(TWO), compared)
    assert first.artifacts[0].control is Control.NOT_RUN
    assert needs_control(first)
    same = judge(release(ONE), rebuild(TWO), compared, rebuild(TWO)).artifacts[0]
    assert (same.control, same.control_digest) == (Control.DETERMINISTIC, TWO.digest)
    assert same.causes == (Cause.PAYLOAD_CHANGED,)
    other = judge(release(ONE), rebuild(TWO), compared, rebuild(THREE)).artifacts[0]
    assert (other.control, other.control_digest) == (Control.NONDETERMINISTIC, THREE.digest)
    assert other.causes == (Cause.PAYLOAD_CHANGED, Cause.RANDOMNESS)
    assert {finding.cause for finding in other.findings} == set(other.causes)
    dated = judge(release(ONE), rebuild(TWO), {NAME: found(ONE, TWO, Cause.BUILD_DATE)}, rebuild(THREE)).artifacts[0]
    assert (dated.control, dated.causes) == (Control.NONDETERMINISTIC, (Cause.BUILD_DATE,))
    failed = judge_control(first, rebuild(outcome=Outcome.TIMED_OUT)).artifacts[0]
    assert (failed.control, failed.verdict) == (Control.FAILED, Verdict.DIFFERENT)


def test_control_is_not_asked_about_what_is_not_different() -> None:
    """Neither a match nor an equivalence needs one."""
    equivalent = replace(found(ONE, TWO, Cause.BUILD_ID), verdict=Verdict.EQUIVALENT)
    judged = judge(release(ONE), rebuild(TWO), {NAME: equivalent})
    assert not needs_control(judged)
    assert judged.artifacts[0].control is Control.NOT_NEEDED
