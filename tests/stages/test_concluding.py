"""A dossier is concluded whatever happened, and says what the builders behind it gave."""

from __future__ import annotations

from dataclasses import replace

from rebuilder.attest.consistency import verify_dossier
from rebuilder.compare.quorum import judge_quorum
from rebuilder.errors import WorldError
from rebuilder.model.cause import Cause
from rebuilder.model.dossier import Dossier
from rebuilder.model.verdict import Verdict
from rebuilder.origins.origin import Planned
from rebuilder.stages.attempt import Attempt, Run
from rebuilder.stages.concluding import conclude
from tests.attest.builders import SECOND, other_outputs, run_of
from tests.attest.factory import T2, dossier


def attempt(value: Dossier) -> Attempt:
    """Say that two builders ran the plan and gave different bytes."""
    assert value.plan is not None
    assert value.lock is not None
    assert value.rebuild is not None
    first = replace(value.rebuild, fresh_environment=True)
    second = run_of(value, SECOND, outputs=other_outputs(value))
    return Attempt(
        name="sample",
        part=value.release,
        trust=value.trust,
        planned=Planned(plan=value.plan, lock=value.lock),
        run=Run(rebuild=first, record=b""),
        others=(Run(rebuild=second, record=b""),),
    )


def test_builders_that_differ_are_the_reason() -> None:
    """The dossier has every run, and a sentence that names who gave what."""
    value = dossier().dossier
    tried = attempt(value)
    assert tried.run is not None
    compared = judge_quorum(value.comparison, tried.run.rebuild, [run.rebuild for run in tried.others])
    concluded = conclude(replace(tried, comparison=compared), T2)
    verify_dossier(concluded)
    assert (concluded.verdict, len(concluded.runs)) == (Verdict.UNDECIDED, 2)
    assert "2 builders do not agree about sample_1.0-1_amd64.deb" in concluded.reason


def test_builders_that_differ_are_told_of_even_if_nothing_was_compared() -> None:
    """The comparer broke, and the records still show it: both causes, and a dossier that holds."""
    concluded = conclude(replace(attempt(dossier().dossier), error=WorldError("the comparer broke")), T2)
    verify_dossier(concluded)
    assert concluded.causes == (Cause.INFRASTRUCTURE, Cause.DISAGREEMENT)
    assert concluded.reason == "the comparer broke"
