"""Caches are pruned when nobody uses them, and never under a run."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest

from rebuilder.build.container import Engine
from rebuilder.config import Settings
from rebuilder.errors import EngineFailure
from rebuilder.progress import Silent
from rebuilder.stages import tidying
from rebuilder.stages.world import World
from rebuilder.store.blobs import LocalBlobs
from rebuilder.store.ledger import open_ledger
from rebuilder.world.http import HttpFetcher


def no_engine() -> Engine:
    """Answer as a machine without an engine does."""
    raise EngineFailure("no container engine answers")


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Open a world without an engine, whose caches may hold ten bytes."""
    settings = Settings(
        cache=tmp_path / "cache", state=tmp_path / "state", results=tmp_path / "results", cache_budget_bytes=10
    )
    return World(
        settings=settings,
        fetcher=HttpFetcher(),
        blobs=LocalBlobs(settings.blobs_dir),
        engine=no_engine,
        ledger=open_ledger(settings.state / "ledger.sqlite"),
        progress=Silent(),
        now=lambda: datetime.now(UTC),
    )


def test_downloads_are_pruned_to_the_budget(world: World) -> None:
    """After a run the cache is within its budget, engine or not."""
    digests = [world.blobs.put(bytes([number]) * 8) for number in range(3)]
    tidying.tidy(world)
    assert sum(world.blobs.has(digest) for digest in digests) == 1


def test_a_run_keeps_everything(world: World) -> None:
    """While one run lasts, another's end removes nothing; afterwards the next one does."""
    digest = world.blobs.put(b"far more than ten bytes")
    with tidying.in_use(world.settings):
        tidying.tidy(world)
        assert world.blobs.has(digest)
        with tidying.nobody_uses(world.settings) as free:
            assert not free
    tidying.tidy(world)
    assert not world.blobs.has(digest)


def test_a_budget_that_suffices_removes_nothing(world: World) -> None:
    """Nothing is removed that fits."""
    wide = replace(world, settings=replace(world.settings, cache_budget_bytes=1000))
    digest = wide.blobs.put(b"far more than ten bytes")
    tidying.tidy(wide)
    assert wide.blobs.has(digest)


def test_an_absent_engine_stops_no_sweep(world: World) -> None:
    """That an engine does not answer is for whoever needs it to say."""

    class Absent:
        def leftovers(self) -> tuple[()]:
            raise EngineFailure("gone")

    tidying.sweep_first(world.settings, cast("Engine", Absent()), Silent())
