"""The variation experiment: what it says of runs that change something, nothing, or that fail."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any, cast

import pytest

from rebuilder.errors import EnvironmentUnavailable, Interrupted, RebuilderError
from rebuilder.model import codec
from rebuilder.model.dossier import Dossier, Variation
from rebuilder.model.plan import Plan
from rebuilder.model.rebuild import Rebuild
from rebuilder.model.release import Release
from rebuilder.model.verdict import Outcome, Verdict
from rebuilder.origins.origin import Origin
from rebuilder.stages import varying
from rebuilder.stages.attempt import Attempt, Run
from rebuilder.stages.varying import vary
from rebuilder.stages.world import World
from tests.publish import factory

Answer = Rebuild | RebuilderError


class FakeOrigin:
    """Plans every factor, but those that it cannot."""

    def __init__(self, unable: RebuilderError | None = None) -> None:
        self.unable = unable

    def vary(self, plan: Plan, factor: str, part: Release, now: datetime) -> Plan:
        """See Origin."""
        if self.unable is not None:
            raise self.unable
        return plan


class FakeWorld:
    """A clock that stands still, and nobody to tell."""

    progress = cast("Any", None)

    def __init__(self) -> None:
        self.progress = self

    def now(self) -> datetime:
        """See World."""
        return factory.DAY

    def phase(self, name: str, phase: str, detail: str) -> None:
        """See Progress."""


@pytest.fixture
def experiment(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Variation]:
    """Run one factor after a plain run that succeeded; the builder answers what the test says."""

    def run(answer: Answer, origin: FakeOrigin | None = None) -> Variation:
        def build(*_: object, **__: object) -> Run:
            if isinstance(answer, RebuilderError):
                raise answer
            return Run(rebuild=answer, record=b"")

        monkeypatch.setattr(varying, "build", build)
        (said,) = vary(_attempt(), ("clock",), cast("Origin", origin or FakeOrigin()), cast("World", FakeWorld()))
        return said

    return run


def _dossier() -> Dossier:
    return factory.dossier(Verdict.REPRODUCED)


def _plain() -> Rebuild:
    run = _dossier().rebuild
    assert run is not None
    return run


def _attempt() -> Attempt:
    dossier = _dossier()
    planned = cast("Any", dossier)  # it has a plan, and no more is asked of what was planned
    return Attempt(
        name="x", part=dossier.release, trust=dossier.trust, planned=planned, run=Run(rebuild=_plain(), record=b"")
    )


def test_a_failed_run_is_no_answer(experiment: Callable[..., Variation]) -> None:
    """It says why, and nothing about what the factor changes."""
    failed = replace(_plain(), outcome=Outcome.FAILED, reason="dpkg-source ended with 22", outputs=())
    said = experiment(failed)
    assert said == Variation(
        factor="clock", changed=(), findings=(), failed="the run failed: dpkg-source ended with 22"
    )


def test_a_run_that_cannot_begin_is_no_answer_either(experiment: Callable[..., Variation]) -> None:
    """A suite without faketime, or a builder that breaks, costs the experiment and not the verdict."""
    error = EnvironmentUnavailable("a run under another clock needs faketime")
    assert experiment(_plain(), FakeOrigin(error)).failed == str(error)
    assert experiment(error).failed == str(error)


def test_an_interrupted_run_ends_the_work(experiment: Callable[..., Variation]) -> None:
    """Ctrl-C is no finding."""
    with pytest.raises(Interrupted):
        experiment(Interrupted("Ctrl-C"))


def test_an_answer_says_what_changed(experiment: Callable[..., Variation]) -> None:
    """Nothing, or the files whose digests are others; and it has not failed."""
    assert experiment(_plain()) == Variation(factor="clock", changed=(), findings=())
    first, *others = _plain().outputs
    other = replace(first, digest=factory.digest("another clock"))
    said = experiment(replace(_plain(), outputs=(other, *others)))
    assert (said.changed, said.failed) == ((first.filename,), None)


def test_documents_from_before_stay_as_they_were() -> None:
    """A run that gave an answer is written without the new member, and both forms are read."""
    answered = Variation(factor="clock", changed=(), findings=())
    assert codec.render(answered) == b'{"changed":[],"factor":"clock","findings":[]}'
    failed = replace(answered, failed="out of disk")
    assert codec.parse(codec.render(failed), Variation) == failed
    assert codec.parse(codec.render(answered), Variation) == answered
