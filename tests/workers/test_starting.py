"""Putting a role's process together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from rebuilder.build import engine as engines
from rebuilder.build.container import Leftover
from rebuilder.build.owner import Owner
from rebuilder.config import Settings
from rebuilder.progress import Silent
from workers.starting import engine_of


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
