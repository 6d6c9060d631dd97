"""The .debs of an environment, by digest: from the mirrors, else from the snapshot archive.

The digest is known before anything is asked for, from a verified index or from a lock, so it does not matter who serves
the bytes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rebuilder.config import Settings
from rebuilder.errors import DependencyUnavailable, EnvironmentUnavailable, SourceUnavailable
from rebuilder.model.digest import Digest
from rebuilder.model.plan import ImageLock, Package
from rebuilder.origins.debian.download import FILE_LIMIT_BYTES, Downloader
from rebuilder.origins.debian.snapshot import Snapshot, moment_of
from rebuilder.progress import Progress
from rebuilder.store.blobs import BlobStore
from rebuilder.world.files import storage_errors
from rebuilder.world.http import Fetcher, NotFound

_AT_ONCE = 4


class Supply:
    """Brings .debs into the blob store."""

    def __init__(self, settings: Settings, fetcher: Fetcher, blobs: BlobStore, progress: Progress) -> None:
        self._settings = settings
        self._fetcher = fetcher
        self._blobs = blobs
        self._progress = progress
        self._downloader = Downloader(settings, fetcher, blobs)
        base = settings.debian.snapshot
        self.snapshot = Snapshot(base, settings, fetcher, blobs) if base else None

    def bring(self, packages: Sequence[Package], target: str) -> Mapping[Digest, Path]:
        """Return where each package's verified bytes lie.

        Raise DependencyUnavailable, with a hint, for one that neither a mirror nor the snapshot has; DigestMismatch
        and NetworkFailure as the downloader does.
        """
        ours = [package for package in packages if moment_of(package.archive) is None]
        failures = self._downloader.attempt_all(ours, self._progress, target)
        for failure in failures:
            if failure is not None and not isinstance(failure, SourceUnavailable):
                raise failure
        gone = [package for package, failure in zip(ours, failures, strict=True) if failure is not None]
        past = [package for package in packages if moment_of(package.archive) is not None]
        with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
            list(pool.map(self._from_snapshot, (*gone, *past)))
        return {package.digest: self._blobs.path(package.digest) for package in packages}

    def bring_locked(self, lock: ImageLock) -> Mapping[Digest, Path]:
        """Bring the packages of a base image; raise EnvironmentUnavailable when one is gone."""
        try:
            return self.bring(lock.packages, f"image:{lock.suite}")
        except DependencyUnavailable as error:
            raise EnvironmentUnavailable(
                f"base image {lock.suite} {lock.architecture}: {error}",
                hint="mirrors drop superseded versions: configure debian.snapshot, or `rebuilder image lock` anew",
            ) from error

    def _from_snapshot(self, package: Package) -> None:
        if self._blobs.has(package.digest):
            self._downloader.fetch(package)
            return
        if self.snapshot is None:
            raise self._unavailable(package)
        incoming = self._settings.incoming_dir
        with storage_errors(incoming):
            incoming.mkdir(parents=True, exist_ok=True)
        for address in self.snapshot.addresses(package):
            with tempfile.TemporaryDirectory(dir=incoming) as directory:
                path = Path(directory, package.filename)
                try:
                    self._fetcher.download(
                        address,
                        path,
                        size_bytes=package.size_bytes,
                        digest=package.digest,
                        limit_bytes=FILE_LIMIT_BYTES,
                    )
                except NotFound:
                    continue
                self._blobs.put_file(path)
                return
        raise self._unavailable(package)

    def _unavailable(self, package: Package) -> DependencyUnavailable:
        where = "no mirror has it" + (", nor has the snapshot archive" if self.snapshot else "")
        hint = "a snapshot archive keeps every version: set debian.snapshot" if self.snapshot is None else None
        return DependencyUnavailable(
            f"{package.name} {package.version} ({package.architecture}, {package.digest}): {where}", hint=hint
        )
