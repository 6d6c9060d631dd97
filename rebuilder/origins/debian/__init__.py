"""Debian releases: resolved from the signed archive, and authenticated from end to end."""

from __future__ import annotations

from datetime import datetime

from rebuilder.config import Settings
from rebuilder.model.release import Release
from rebuilder.model.trust import Trust
from rebuilder.origins.debian.download import Downloader
from rebuilder.origins.debian.view import SuiteView
from rebuilder.progress import Progress, Silent
from rebuilder.store.blobs import BlobStore
from rebuilder.world.http import Fetcher


class DebianOrigin:
    """The Debian archive as an origin of releases, on one machine's settings."""

    def __init__(
        self, settings: Settings, fetcher: Fetcher, blobs: BlobStore, progress: Progress | None = None
    ) -> None:
        self._settings = settings
        self._fetcher = fetcher
        self._blobs = blobs
        self._progress = progress or Silent()
        self.downloader = Downloader(settings, fetcher, blobs)

    def view(self, suite: str, now: datetime) -> SuiteView:
        """The verified indices that a user of a suite is offered; made once an origin, then kept."""
        raise NotImplementedError

    def resolve(self, target: str, now: datetime) -> Release:
        """Say what was published under a target, and where its source is."""
        raise NotImplementedError

    def authenticate(self, release: Release, now: datetime, *, download: bool = True) -> Trust:
        """Check every byte of a release against what was signed, and let the policy judge."""
        raise NotImplementedError
