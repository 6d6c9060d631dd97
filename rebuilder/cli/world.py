"""Putting the machine together for one command: where the command line meets the pipeline."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache

from rebuilder.build.cache import Downloads, PreparedIndex
from rebuilder.build.container import Engine
from rebuilder.config import Settings
from rebuilder.progress import Progress
from rebuilder.stages.world import World
from rebuilder.store.blobs import LocalBlobs
from rebuilder.store.ledger import FILE_NAME, Ledger, open_ledger
from rebuilder.world.http import HttpFetcher


def open_world(settings: Settings, progress: Progress) -> World:
    """Give the pipeline this machine; the engine is asked for only when something needs it."""

    @cache
    def engine() -> Engine:
        return open_engine(settings)

    return World(
        settings=settings,
        fetcher=HttpFetcher(),
        blobs=LocalBlobs(settings.cache / "blobs"),
        engine=engine,
        ledger=ledger_of(settings),
        progress=progress,
        now=lambda: datetime.now(UTC),
    )


def open_engine(settings: Settings) -> Engine:
    """Connect to the container engine that the settings name."""
    from rebuilder.build.engine import DockerEngine  # noqa: PLC0415 - a dry run needs no engine library

    return DockerEngine(settings.engine)


def ledger_of(settings: Settings) -> Ledger:
    """Open the ledger of this state directory."""
    return open_ledger(settings.state / FILE_NAME)


def prepared_of(settings: Settings, engine: Engine) -> PreparedIndex:
    """Open the index of prepared environments."""
    return PreparedIndex(settings.cache / "prepared", engine)


def downloads_of(settings: Settings) -> Downloads:
    """Open the cache of downloads."""
    return Downloads(settings.cache / "blobs")
