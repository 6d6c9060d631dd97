"""Bringing files by digest from the configured archives into the blob store."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from threading import Lock

from rebuilder.config import Archive, Settings
from rebuilder.errors import (
    DigestMismatch,
    NetworkFailure,
    RebuilderError,
    SourceUnavailable,
    UntrustedError,
    WorldError,
)
from rebuilder.model.digest import Digest
from rebuilder.model.plan import Package
from rebuilder.model.release import FileReference
from rebuilder.origins.debian import parallel
from rebuilder.origins.debian.mirrors import configured_archives, mirrors_of, without_addresses
from rebuilder.progress import Progress
from rebuilder.store.blobs import BlobStore
from rebuilder.world.files import digest_of, storage_errors
from rebuilder.world.http import Fetcher, NotFound

Wanted = FileReference | Package

FILE_LIMIT_BYTES = 16 * 1024**3
"""No package or source file is larger."""

_SECURITY_POOL = "pool/updates/"
_POOL = "pool/"


class Downloader:
    """Fetches what signed indices name, and keeps nothing whose digest is not the signed one."""

    def __init__(self, settings: Settings, fetcher: Fetcher, blobs: BlobStore) -> None:
        self._settings = settings
        self._fetcher = fetcher
        self._blobs = blobs
        self._incoming = settings.incoming_dir
        self._lock = Lock()
        self._notes: list[str] = []

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader should know of the downloads so far: which mirrors served wrong bytes."""
        with self._lock:
            return tuple(self._notes)

    @cached_property
    def _archives(self) -> tuple[Archive, ...]:
        return configured_archives(self._settings.debian)

    def fetch(self, wanted: Wanted) -> Digest:
        """Bring one file into the blob store, from the first place that serves it.

        A file that is there already is hashed again, not fetched. Raise SourceUnavailable when every place answers
        that it has no such file, DigestMismatch when one serves other bytes and none serves the right ones,
        NetworkFailure otherwise.
        """
        if self._is_here(wanted.digest):
            return wanted.digest
        failures: list[RebuilderError] = []
        for address in self._addresses(wanted):
            try:
                self._bring(address, wanted)
            except (NetworkFailure, DigestMismatch) as failure:
                words = without_addresses(str(failure), self._archives)
                failures.append(type(failure)(words, hint=failure.hint))
            else:
                self._note(failures)
                return wanted.digest
        raise _told(wanted, failures)

    def fetch_all(self, wanted: Sequence[Wanted], progress: Progress, target: str) -> tuple[Digest, ...]:
        """Bring many files, four at a time; raise what the first failure raised, and stop there."""
        tell = _Counter(progress, target, sum(each.size_bytes for each in wanted))
        return parallel.each(lambda each: self._counted(each, tell), wanted)

    def attempt_all(
        self, wanted: Sequence[Wanted], progress: Progress, target: str
    ) -> tuple[UntrustedError | WorldError | None, ...]:
        """Bring as many of the files as can be had; return for each why it could not, or None."""

        def attempt(each: Wanted) -> UntrustedError | WorldError | None:
            try:
                self._counted(each, tell)
            except (UntrustedError, NetworkFailure, SourceUnavailable) as failure:
                return failure
            return None

        tell = _Counter(progress, target, sum(each.size_bytes for each in wanted))
        return parallel.each(attempt, wanted)

    def _counted(self, wanted: Wanted, tell: _Counter) -> Digest:
        digest = self.fetch(wanted)
        tell.add(wanted.size_bytes)
        return digest

    def _is_here(self, digest: Digest) -> bool:
        """Whether the blob is here and whole; a damaged one is removed, for nobody may have it."""
        if not self._blobs.has(digest):
            return False
        path = self._blobs.path(digest)
        if digest_of(path) == digest:
            with suppress(OSError):
                os.utime(path)  # a cache over its budget forgets what was used longest ago
            return True
        with storage_errors(path):
            path.unlink(missing_ok=True)
        return False

    def _bring(self, address: str, wanted: Wanted) -> None:
        with storage_errors(self._incoming):
            self._incoming.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self._incoming) as directory:
            path = Path(directory, wanted.filename)
            self._fetcher.download(
                address, path, size_bytes=wanted.size_bytes, digest=wanted.digest, limit_bytes=FILE_LIMIT_BYTES
            )
            self._blobs.put_file(path)

    def _addresses(self, wanted: Wanted) -> tuple[str, ...]:
        """List every place of every mirror, in the order in which to try them.

        Last comes a guess: what a security suite lists, and its archive lacks, the main archive may have under the
        same name, as upstream tarballs are shared. The digest says whether it is right.
        """
        places = [(wanted.archive, wanted.location), *(wanted.also if isinstance(wanted, FileReference) else ())]
        labels = dict.fromkeys(archive.label for archive in self._archives)
        guesses = [
            (other, location.replace(_SECURITY_POOL, _POOL, 1))
            for label, location in places
            if location and location.startswith(_SECURITY_POOL)
            for other in labels
            if other != label
        ]
        found = [(label, location) for label, location in (*places, *guesses) if label and location]
        return tuple(
            f"{mirror}/{location}"
            for label, location in dict.fromkeys(found)
            for mirror in mirrors_of(label, self._archives)
        )

    def _note(self, failures: Sequence[RebuilderError]) -> None:
        with self._lock:
            self._notes += [f"another mirror served it right: {f}" for f in failures if isinstance(f, DigestMismatch)]


class _Counter:
    """Tells progress about bytes, from many threads."""

    def __init__(self, progress: Progress, target: str, total: int) -> None:
        self._progress, self._target, self._total = progress, target, total
        self._done = 0
        self._lock = Lock()

    def add(self, size_bytes: int) -> None:
        with self._lock:
            self._done += size_bytes
            self._progress.advance(self._target, self._done, self._total, "bytes")


def _told(wanted: Wanted, failures: Sequence[RebuilderError]) -> RebuilderError:
    """Choose what to say: wrong bytes outrank silence, and silence outranks absence."""
    wrong = next((failure for failure in failures if isinstance(failure, DigestMismatch)), None)
    if wrong is not None:
        return wrong
    if all(isinstance(failure, NotFound) for failure in failures):
        where = f"none of {len(failures)} places has it" if failures else "no configured archive lists it"
        return SourceUnavailable(
            f"{wanted.filename} ({wanted.digest}): {where}",
            hint="try again later, another mirror, or a snapshot archive",
        )
    return next(failure for failure in failures if not isinstance(failure, NotFound))
