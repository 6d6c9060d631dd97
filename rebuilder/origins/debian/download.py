"""Bringing files by digest from the configured archives into the blob store."""

from __future__ import annotations

from collections.abc import Sequence

from rebuilder.config import Settings
from rebuilder.model.digest import Digest
from rebuilder.model.plan import Package
from rebuilder.model.release import FileReference
from rebuilder.progress import Progress
from rebuilder.store.blobs import BlobStore
from rebuilder.world.http import Fetcher

Wanted = FileReference | Package


class Downloader:
    """Fetches what signed indices name, and keeps nothing whose digest is not the signed one."""

    def __init__(self, settings: Settings, fetcher: Fetcher, blobs: BlobStore) -> None:
        self._settings = settings
        self._fetcher = fetcher
        self._blobs = blobs

    def fetch(self, wanted: Wanted) -> Digest:
        """Bring one file into the blob store, from the first place that serves it.

        A file that is there already is hashed again, not fetched. Raise SourceUnavailable when every place answers
        that it has no such file, DigestMismatch when one serves other bytes and none serves the right ones,
        NetworkFailure otherwise.
        """
        raise NotImplementedError

    def fetch_all(self, wanted: Sequence[Wanted], progress: Progress, target: str) -> tuple[Digest, ...]:
        """Bring many files, four at a time; raise what the first failure in their order raised."""
        raise NotImplementedError
