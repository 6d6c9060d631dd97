"""What the stages act on, handed down instead of reached for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from rebuilder.build.container import Engine
from rebuilder.config import Settings
from rebuilder.progress import Progress
from rebuilder.store.blobs import LocalBlobs
from rebuilder.store.ledger import Ledger
from rebuilder.world.http import Fetcher


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """The machine, as one run sees it. Tests hand in fakes."""

    settings: Settings
    fetcher: Fetcher
    blobs: LocalBlobs
    engine: Callable[[], Engine]
    """Called when an engine is first needed: resolving and authenticating need none."""
    ledger: Ledger
    progress: Progress
    now: Callable[[], datetime]
    """The clock, in UTC."""
