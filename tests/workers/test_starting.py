"""Putting a role's process together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from rebuilder.build import engine as engines
from rebuilder.build.container import Leftover
from rebuilder.build.owner import Owner
from rebuilder.config import DebianSettings, FarmSettings, Settings
from rebuilder.errors import ConfigurationError
from rebuilder.model.digest import Digest
from rebuilder.model.job import JobKind
from rebuilder.progress import Silent
from workers.starting import engine_of, open_worker


class FakeEngine:
    """An engine in which a container of a dead process and one of a living process are left."""

    def __init__(self, address: str | None) -> None:
        here = Owner.here()
        self.address = address
        self.removed: list[str] = []
        self._left = {"dead": replace(here, started=1).labels(), "alive": here.labels()}

    def leftovers(self) -> tuple[Leftover, ...]:
        """See Engine.leftovers."""
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
