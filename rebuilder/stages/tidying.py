"""Keeping house: what killed runs left is removed, and the caches stay within their budgets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rebuilder.build import locks
from rebuilder.build.cache import Cache, Downloads, PreparedIndex
from rebuilder.build.container import Engine
from rebuilder.build.sweep import sweep
from rebuilder.config import Settings
from rebuilder.errors import EngineFailure, StorageFailure
from rebuilder.progress import Progress
from rebuilder.stages.world import Workplace


@contextmanager
def in_use(settings: Settings) -> Iterator[None]:
    """Keep every cache of these settings from being pruned while a run lasts."""
    with locks.shared(settings.use_lock):
        yield


@contextmanager
def nobody_uses(settings: Settings) -> Iterator[bool]:
    """Say whether no run uses the caches; while it is so, none begins."""
    with locks.exclusive_if_free(settings.use_lock) as free:
        yield free


def caches(settings: Settings, engine: Engine | None) -> tuple[Cache, ...]:
    """Return the downloads, and with an engine the prepared environments."""
    downloads = Downloads(settings.blobs_dir)
    return (downloads,) if engine is None else (downloads, PreparedIndex(settings.prepared_dir, engine))


def sweep_first(settings: Settings, engine: Engine, progress: Progress) -> None:
    """Remove what dead runs left, before anything new is made; that an engine does not answer is for others to say."""
    try:
        swept = sweep(engine, PreparedIndex(settings.prepared_dir, engine), roots=(settings.scratch_dir,))
    except EngineFailure:
        return
    count = swept.containers + swept.volumes + swept.images
    if count:
        progress.note("sweep", f"removed {count} containers, volumes and images that a killed run had left")


def tidy(world: Workplace) -> None:
    """Prune the caches to their budgets, unless somebody uses them; the next run will then."""
    with nobody_uses(world.settings) as free:
        if not free:
            return
        for cache in caches(world.settings, _engine(world)):
            try:
                cache.prune(world.settings.cache_budget_bytes)
            except (EngineFailure, StorageFailure):
                continue


def _engine(world: Workplace) -> Engine | None:
    """Connect where something was ever prepared: most of a farm's roles have no engine."""
    if not world.settings.prepared_dir.is_dir():
        return None
    try:
        return world.engine()
    except EngineFailure:
        return None
