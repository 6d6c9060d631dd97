"""Putting the machine together for one command: where the command line meets the pipeline."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from rebuilder.build.cache import Downloads, PreparedIndex
from rebuilder.build.container import Engine
from rebuilder.config import Settings
from rebuilder.progress import Progress
from rebuilder.stages.tidying import sweep_first
from rebuilder.stages.world import World
from rebuilder.store.blobs import LocalBlobs
from rebuilder.store.ledger import Ledger
from rebuilder.store.opening import open_database
from rebuilder.world.files import storage_errors
from rebuilder.world.http import HttpFetcher


def open_world(settings: Settings, progress: Progress) -> World:
    """Give the pipeline this machine; the engine is asked for only when something needs it."""

    @cache
    def engine() -> Engine:
        opened = open_engine(settings)
        sweep_first(settings, opened, progress)
        return opened

    return World(
        settings=settings,
        fetcher=HttpFetcher(),
        blobs=LocalBlobs(settings.blobs_dir),
        engine=engine,
        ledger=ledger_of(settings),
        progress=progress,
        now=lambda: datetime.now(UTC),
    )


def verify_writable(directory: Path) -> None:
    """Raise StorageFailure unless results can be written there: known now rather than after an hour's build."""
    with storage_errors(directory):
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory) as stream:
            stream.write(b"\0" * 4096)
            stream.flush()


def open_engine(settings: Settings) -> Engine:
    """Connect to the container engine that the settings name."""
    from rebuilder.build.engine import DockerEngine  # noqa: PLC0415 - a dry run needs no engine library

    return DockerEngine(settings.engine)


def ledger_of(settings: Settings) -> Ledger:
    """Open the ledger that the settings name: the farm's, or that of the state directory."""
    return Ledger(open_database(settings))


def prepared_of(settings: Settings, engine: Engine) -> PreparedIndex:
    """Open the index of prepared environments."""
    return PreparedIndex(settings.prepared_dir, engine)


def downloads_of(settings: Settings) -> Downloads:
    """Open the cache of downloads."""
    return Downloads(settings.blobs_dir)
