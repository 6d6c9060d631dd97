"""Putting a role's process together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from rebuilder.build import engine as engines
from rebuilder.build.container import Engine, Leftover
from rebuilder.build.owner import Owner
from rebuilder.config import DebianSettings, FarmSettings, Settings
from rebuilder.errors import ConfigurationError, EngineFailure
from rebuilder.model.digest import Digest
from rebuilder.model.job import JobKind
from rebuilder.progress import Silent
from workers.starting import await_engine, engine_of, open_worker


class FakeEngine:
    """An engine in which a container of a dead process and one of a living process are left."""

    def __init__(self, address: str | None) -> None:
        here = Owner.here()
        self.address = address
        self.gone = 0
        """How often it does not answer before it does."""
        self.removed: list[str] = []
        self._left = {"dead": replace(here, started=1).labels(), "alive": here.labels()}

    def leftovers(self) -> tuple[Leftover, ...]:
        """See Engine.leftovers."""
        if self.gone > 0:
            self.gone -= 1
            raise EngineFailure("no container engine answers")
        return tuple(Leftover(kind="container", name=name, labels=labels) for name, labels in self._left.items())

    def remove(self, leftover: Leftover) -> None:
        """See Engine.remove."""
        self.removed.append(leftover.name)

    def images(self) -> tuple[()]:
        """See Engine.images."""
        return ()


def test_a_worker_sweeps_what_killed_ones_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once, when it first needs the engine: containers and scratch directories of dead processes, nobody else's."""
    monkeypatch.setattr(engines, "DockerEngine", FakeEngine)
    settings = Settings(cache=tmp_path / "cache", state=tmp_path / "state", results=tmp_path, engine="unix:///x")
    scratch = settings.scratch_dir / "rebuilder-run-1.1.1.00000000-x"
    scratch.mkdir(parents=True)
    engine = engine_of(settings, Silent())
    assert scratch.is_dir()
    opened = engine()
    assert engine() is opened
    assert isinstance(opened, FakeEngine)
    assert (opened.address, opened.removed) == ("unix:///x", ["dead"])
    assert not scratch.exists()


def test_an_engine_that_is_being_restarted_is_waited_for() -> None:
    """A few seconds without an answer cost a worker nothing; an engine that stays away is said to."""
    engine = FakeEngine(None)
    engine.gone = 3
    await_engine(lambda: cast("Engine", engine), patience_s=60, pause_s=0)
    assert engine.gone == 0
    engine.gone = 1000
    with pytest.raises(EngineFailure):
        await_engine(lambda: cast("Engine", engine), patience_s=0, pause_s=0)


def test_an_engine_that_was_away_at_first_is_swept_when_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without an answer nothing is remembered: what killed workers left goes when the engine is asked again."""
    made: list[FakeEngine] = []

    def opening(address: str | None) -> FakeEngine:
        made.append(FakeEngine(address))
        made[-1].gone = 1 if len(made) == 1 else 0
        return made[-1]

    monkeypatch.setattr(engines, "DockerEngine", opening)
    engine = engine_of(Settings(cache=tmp_path / "cache", state=tmp_path / "state", results=tmp_path), Silent())
    with pytest.raises(EngineFailure):
        engine()
    assert engine() is engine()
    assert [each.removed for each in made] == [[], ["dead"]]


def test_readiness_is_the_engines_answer_of_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that answered before and does not now is said to be unavailable, and is back as soon as it answers."""
    engine = FakeEngine(None)
    monkeypatch.setattr(engines, "DockerEngine", lambda _: engine)
    farm = FarmSettings(coordinator="http://127.0.0.1:1")
    settings = Settings(cache=tmp_path / "cache", state=tmp_path / "state", results=tmp_path, farm=farm)
    check = open_worker(JobKind.REBUILD, settings, Silent()).checks["engine"]
    check()
    engine.gone = 1
    with pytest.raises(EngineFailure):
        check()
    check()


def test_a_planner_of_pulled_images_does_not_start(tmp_path: Path) -> None:
    """Builders reach no registry: a setting that each plan would come to grief on is refused before there is one."""
    settings = Settings(
        cache=tmp_path / "cache",
        state=tmp_path / "state",
        results=tmp_path,
        farm=FarmSettings(coordinator="http://127.0.0.1:1"),
        debian=DebianSettings(images=(("trixie", f"registry.test/debian@{Digest.of(b'manifest')}"),)),
    )
    with pytest.raises(ConfigurationError, match="base images of trixie would be pulled") as caught:
        open_worker(JobKind.PLAN, settings, Silent())
    assert "leave debian.images out" in str(caught.value.hint)
    assert open_worker(JobKind.COMPARE, settings, Silent()).post.kind is JobKind.COMPARE
