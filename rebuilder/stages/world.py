"""What the stages act on, handed down instead of reached for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from rebuilder.build.container import Engine
from rebuilder.config import Settings
from rebuilder.progress import Progress
from rebuilder.store.blobs import LocalBlobs
from rebuilder.world.http import Fetcher

if TYPE_CHECKING:
    from rebuilder.store.ledger import Ledger  # builders have none, and databases are slow to load


class Workplace(Protocol):
    """As much of a world as building and comparing need: no ledger, no downloads, no clock."""

    @property
    def settings(self) -> Settings:
        """Where scratch files and prepared environments are, and the bounds of tools."""

    @property
    def blobs(self) -> LocalBlobs:
        """Where the files lie, and results go."""

    @property
    def engine(self) -> Callable[[], Engine]:
        """Called when an engine is first needed."""

    @property
    def progress(self) -> Progress:
        """Who is told."""


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
