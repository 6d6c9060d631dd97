"""Base images for a planner who cannot make them: a bootstrap wants to be root, which no role is.

A planner who lacks an image leaves its lock in the cache that he shares with whoever runs this, and fails for now. What
is bootstrapped is named by signed indices, whoever left the lock there; what root wrote belongs to the cache's owner.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event

import structlog

from rebuilder.config import Settings
from rebuilder.errors import RebuilderError
from rebuilder.model import codec
from rebuilder.model.digest import Digest
from rebuilder.model.job import RetryRule
from rebuilder.model.plan import ImageLock
from rebuilder.origins.debian.image import suite_to_build_in
from rebuilder.origins.debian.origin import DebianOrigin
from rebuilder.progress import Progress
from rebuilder.store.blobs import LocalBlobs
from rebuilder.world.files import storage_errors
from rebuilder.world.http import Fetcher
from workers.starting import now

LOOK_S = 5.0
_ASKED_WITHIN = timedelta(days=1)
"""A planner's attempts are over long before that, and a later one asks again."""
_AGAIN = RetryRule(attempts=None, first_delay_s=30, longest_delay_s=3600)

Base = tuple[ImageLock, Digest]
"""A lock, and the blob of the root file system that was made from it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What became of the last attempt at a lock."""

    count: int
    again_at: datetime
    error: RebuilderError


class Bases:
    """Makes base images in a planner's cache."""

    def __init__(self, settings: Settings, fetcher: Fetcher, progress: Progress) -> None:
        self._settings = settings
        self._fetcher = fetcher
        self._progress = progress
        self._failed: dict[Digest, Failure] = {}

    def make(self, suites: Iterable[str], at: datetime) -> Iterator[Base]:
        """Make what each suite is built in as it is now; what is kept already costs nothing."""
        origin = self._origin()
        for suite in dict.fromkeys(map(suite_to_build_in, suites)):
            with self._given_back():
                base = _bootstrapped(origin.images.lock(origin.archive.view(suite, at)), origin, at)
            yield base

    def make_wanted(self, at: datetime) -> Iterator[Base]:
        """Make what planners asked for of late and did not find.

        What cannot be made is tried again, each time later; `verify_made` tells of it as long as it is wanted.
        """
        wanted = {Digest.of(codec.render(lock)): lock for lock in self._origin().images.wanted(at - _ASKED_WITHIN)}
        self._failed = {digest: failure for digest, failure in self._failed.items() if digest in wanted}
        for digest, lock in wanted.items():
            failure = self._failed.get(digest)
            if failure is not None and at < failure.again_at:
                continue
            try:
                with self._given_back():
                    base = _bootstrapped(lock, self._origin(), at)
            except RebuilderError as error:
                self._failed[digest] = _failed_again(failure, error, at)
            else:
                self._failed.pop(digest, None)
                yield base

    def verify_made(self) -> None:
        """Raise why something that is wanted could not be made at the last attempt."""
        for failure in tuple(self._failed.values()):
            raise failure.error

    def _origin(self) -> DebianOrigin:
        """Look at the archive anew: an origin remembers what it has seen there."""
        blobs = LocalBlobs(self._settings.blobs_dir)
        return DebianOrigin(self._settings, self._fetcher, blobs, self._progress)

    @contextmanager
    def _given_back(self) -> Iterator[None]:
        """Let everything that is written meanwhile belong to the cache's owner, also when it fails."""
        try:
            yield
        finally:
            for root in (self._settings.cache, self._settings.state):
                _give_back(root)


def serve_bases(bases: Bases, stopped: Event) -> None:
    """Make what is wanted until the process is told to end."""
    log = structlog.stdlib.get_logger("bases")
    while not stopped.wait(LOOK_S):
        try:
            for lock, rootfs in bases.make_wanted(now()):
                log.info("made", suite=lock.suite, architecture=lock.architecture, rootfs=str(rootfs))
        except RebuilderError as error:
            log.warning("cannot look", error=str(error), hint=error.hint)


def _bootstrapped(lock: ImageLock, origin: DebianOrigin, at: datetime) -> Base:
    """Make one root file system; before root installs anything, signed indices name all of it."""
    if not origin.images.has_rootfs(lock):
        origin.verify_named(lock, at)
    return lock, origin.images.rootfs(lock)


def _failed_again(before: Failure | None, error: RebuilderError, at: datetime) -> Failure:
    count = 1 if before is None else before.count + 1
    delay_s = _AGAIN.delay_s(count)
    structlog.stdlib.get_logger("bases").warning("not made", error=str(error), hint=error.hint, again_in_s=delay_s)
    return Failure(count=count, again_at=at + timedelta(seconds=delay_s), error=error)


def _give_back(root: Path) -> None:
    """Let everything below a directory belong to whom the directory belongs to."""
    if os.geteuid() != 0 or not root.is_dir():
        return
    with storage_errors(root):
        owner = root.stat()
        for path in root.rglob("*"):
            try:
                found = path.lstat()
                if (found.st_uid, found.st_gid) != (owner.st_uid, owner.st_gid):
                    os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)
            except FileNotFoundError:
                continue  # a planner who works there meanwhile has removed it
