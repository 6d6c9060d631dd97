"""Other builders' runs can take an answer away; they can never give one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rebuilder.compare.judge import judge
from rebuilder.compare.quorum import judge_quorum, reason_of
from rebuilder.model.cause import Cause
from rebuilder.model.comparison import Comparison
from rebuilder.model.rebuild import Rebuild
from rebuilder.model.release import FileReference
from rebuilder.model.verdict import Outcome, Verdict
from tests.compare.test_judge import NAME, ONE, TWO, file, found, rebuild, release


def by(builder: str, *outputs: FileReference, outcome: Outcome = Outcome.SUCCEEDED) -> Rebuild:
    """Make a run of a named builder."""
    return replace(rebuild(*outputs, outcome=outcome), builder=builder * 64, reason="" if outputs else "it broke")


def judged(first: Rebuild, *others: Rebuild) -> Comparison:
    """Compare the first run with a release of one file, and judge it beside the others."""
    compared = {NAME: found(ONE, TWO, Cause.PAYLOAD_CHANGED)}
    return judge_quorum(judge(release(ONE), first, compared), first, others)


def test_alone_nothing_changes() -> None:
    """A quorum of one is the comparison as it was."""
    plain = judge(release(ONE), by("a", ONE), {})
    assert judge_quorum(plain, by("a", ONE), ()) == plain


@pytest.mark.parametrize(("made", "verdict"), [(ONE, Verdict.REPRODUCED), (TWO, Verdict.DIFFERENT)])
def test_builders_that_agree_change_nothing(made: FileReference, verdict: Verdict) -> None:
    """Whatever all of them gave stands, with what was found in it."""
    comparison = judged(by("a", made), by("b", made), by("c", made))
    assert comparison == judged(by("a", made))
    assert comparison.artifacts[0].verdict is verdict
    assert reason_of(comparison, (by("a", made), by("b", made))) == ""


@pytest.mark.parametrize(("first", "second"), [(ONE, TWO), (TWO, ONE)])
def test_builders_that_differ_leave_no_answer(first: FileReference, second: FileReference) -> None:
    """Neither a match nor a difference outlives another builder's other bytes; each digest is a finding."""
    runs = (by("a", first), by("b", second))
    comparison = judged(*runs)
    (artifact,) = comparison.artifacts
    assert (artifact.verdict, artifact.causes) == (Verdict.UNDECIDED, (Cause.DISAGREEMENT,))
    assert artifact.rebuilt is None
    assert [finding.rebuilt for finding in artifact.findings] == [str(first.digest), str(second.digest)]
    reason = reason_of(comparison, runs)
    assert reason.startswith(f"2 builders do not agree about {NAME}: aaaaaaaaaaaaaaaa sha256:")
    assert str(second.digest) in reason


def test_the_majority_does_not_win() -> None:
    """Two of three are no quorum of three."""
    comparison = judged(by("a", ONE), by("b", ONE), by("c", TWO))
    assert comparison.artifacts[0].verdict is Verdict.UNDECIDED


def test_a_file_that_only_another_builder_gave_is_listed() -> None:
    """An output that the first builder does not have is a disagreement, never dropped; a build's papers are none."""
    extra, paper = file("b_1_amd64.deb", b"extra"), file("a_1_amd64.buildinfo", b"paper")
    first, listed = judged(by("a", ONE), by("b", ONE, extra, paper)).artifacts
    assert first.verdict is Verdict.REPRODUCED
    assert (listed.filename, listed.causes, listed.rebuilt) == (extra.filename, (Cause.DISAGREEMENT,), None)
    assert listed.findings[0].detail.endswith("gave no such file")


@pytest.mark.parametrize(
    ("outcome", "cause"), [(Outcome.FAILED, Cause.BUILD_FAILED), (Outcome.TIMED_OUT, Cause.TIMED_OUT)]
)
def test_a_run_that_did_not_succeed_leaves_the_quorum_pending(outcome: Outcome, cause: Cause) -> None:
    """Undecided, with the outcome's cause and `quorum-pending`, and a sentence that names the builder."""
    runs = (by("a", ONE), by("b", outcome=outcome))
    comparison = judged(*runs)
    assert comparison.artifacts[0].causes == (cause, Cause.QUORUM_PENDING)
    assert reason_of(comparison, runs) == "1 of 2 builders gave no file: bbbbbbbbbbbbbbbb: it broke"


def test_a_first_run_that_did_not_succeed_is_no_answer_either() -> None:
    """The others cannot stand in for it: the comparison was with its files."""
    comparison = judged(by("a", outcome=Outcome.FAILED), by("b", ONE))
    (artifact,) = comparison.artifacts
    assert artifact.causes == (Cause.BUILD_FAILED, Cause.QUORUM_PENDING)
    assert artifact.rebuilt is None


def test_why_there_was_no_answer_before_stays() -> None:
    """A file without a reference about which builders differ says both."""
    part = release(without=(NAME,))
    comparison = judge_quorum(judge(part, by("a", ONE), {}), by("a", ONE), (by("b", TWO),))
    assert comparison.artifacts[0].causes == (Cause.NO_REFERENCE, Cause.DISAGREEMENT)
