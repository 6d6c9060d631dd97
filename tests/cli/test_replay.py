"""`rebuilder replay`: a stranger's document is run only if it agrees with itself and fits this machine's limits."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

import rebuilder.cli.world
from rebuilder.config import load_settings
from rebuilder.model.codec import render
from rebuilder.model.comparison import Comparison
from rebuilder.model.digest import Digest
from rebuilder.model.dossier import Dossier
from rebuilder.model.rebuild import Rebuild
from rebuilder.model.verdict import Verdict
from rebuilder.stages import replaying, tidying
from tests.attest.factory import dossier, publish, refused
from tests.attest.withdrawing import REASON, withdraw

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[[Dossier, Rebuild], None]:
    """Let the machine hold the plan's image, and let its build give what the test wants."""

    def prepare(published: Dossier, rebuild: Rebuild) -> None:
        assert published.plan is not None
        origin = SimpleNamespace(image=lambda *_: published.plan.environment.image)
        engine = SimpleNamespace(leftovers=lambda: (), images=lambda: ())
        monkeypatch.setattr(rebuilder.cli.world, "open_engine", lambda _: engine)
        monkeypatch.setattr(replaying, "origin_of", lambda *_: origin)
        monkeypatch.setattr(replaying, "build", lambda *_, **__: SimpleNamespace(rebuild=rebuild))
        monkeypatch.setattr(replaying, "compare", lambda *_, **__: published.comparison)

    return prepare


def _published(value: Dossier) -> Path:
    directory = Path("result")
    directory.mkdir()
    (directory / "dossier.json").write_bytes(render(value))
    return directory


def _rebuild(value: Dossier) -> Rebuild:
    assert value.rebuild is not None
    return value.rebuild


def test_the_caches_are_in_use_meanwhile(
    cli: Cli, machine: Callable[[Dossier, Rebuild], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`rebuilder cache clear` beside a replay does not take away what it is about to read."""
    value = dossier().dossier
    machine(value, _rebuild(value))
    free: list[bool] = []

    def look(*_: object, **__: object) -> Comparison:
        with tidying.nobody_uses(load_settings()) as nobody:
            free.append(nobody)
        return value.comparison

    monkeypatch.setattr(replaying, "compare", look)
    assert cli("replay", _published(value))[0] == 0
    assert free == [False]


def test_the_same_bytes_again(cli: Cli, machine: Callable[[Dossier, Rebuild], None]) -> None:
    """Exit code of the verdict; every output is what was published."""
    value = dossier().dossier
    machine(value, _rebuild(value))
    code, out, _ = cli("replay", _published(value), "--json")
    answer = json.loads(out)
    assert (code, answer["verdict"], answer["same_as_published"]) == (0, "reproduced", True)
    assert answer["published_verdict"] == "reproduced"
    assert "every output is bit for bit" in cli("replay", "result/dossier.json")[1]


def test_a_withdrawn_result_is_run_again_and_named_so(cli: Cli, machine: Callable[[Dossier, Rebuild], None]) -> None:
    """The answer is this run's; what was published is told with its withdrawal."""
    sample = dossier()
    result = publish(Path.cwd(), sample)
    withdraw(Path.cwd(), result)
    machine(sample.dossier, _rebuild(sample.dossier))
    code, out, _ = cli("replay", result, "--json")
    answer = json.loads(out)
    assert (code, answer["published_verdict"], answer["withdrawn"]["reason"]) == (0, "reproduced", REASON)
    assert "(published: reproduced, then withdrawn)" in cli("replay", result)[1]


def test_other_bytes_are_named(cli: Cli, machine: Callable[[Dossier, Rebuild], None]) -> None:
    """A build that gives something else each time is seen."""
    value = dossier({"sample": Verdict.DIFFERENT}).dossier
    run = _rebuild(value)
    outputs = tuple(replace(output, digest=Digest.of(b"third")) for output in run.outputs)
    machine(value, replace(run, outputs=outputs))
    code, out, _ = cli("replay", _published(value), "--json")
    assert code == 1
    assert json.loads(out)["changed"] == ["sample_1.0-1_amd64.deb"]


def test_a_result_without_a_plan_is_usage(cli: Cli) -> None:
    """Nothing was built, so nothing can be run again."""
    code, _, err = cli("replay", _published(refused().dossier))
    assert (code, "nothing was planned in this result" in err) == (2, True)


def test_attack_lock_that_is_not_the_plans(cli: Cli) -> None:
    """A document whose image lock was exchanged is not run."""
    value = dossier().dossier
    assert value.lock is not None
    code, _, err = cli("replay", _published(replace(value, lock=replace(value.lock, epoch=1))))
    assert (code, "the published lock is not the one that the plan names" in err) == (3, True)


def test_attack_rebuild_of_another_plan(cli: Cli) -> None:
    """A document whose plan was exchanged under its rebuild is not run."""
    value = dossier().dossier
    assert value.plan is not None
    code, _, err = cli("replay", _published(replace(value, plan=replace(value.plan, script="exit 0"))))
    assert (code, "the published rebuild is not of the published plan" in err) == (3, True)


def test_attack_plan_that_asks_for_more_than_is_allowed(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stranger's plan does not raise this machine's limits."""
    monkeypatch.setenv("REBUILDER_LIMITS_MEMORY", "16 MiB")
    code, _, err = cli("replay", _published(dossier().dossier))
    assert code == 2
    assert "the plan asks for memory_bytes" in err
    assert "raise limits.memory" in err
