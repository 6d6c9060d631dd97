"""Base images for a planner who cannot make them: a bootstrap wants to be root, which no role is."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path

from rebuilder.config import Settings
from rebuilder.model.digest import Digest
from rebuilder.model.plan import ImageLock
from rebuilder.origins.debian.image import suite_to_build_in
from rebuilder.origins.debian.origin import DebianOrigin
from rebuilder.progress import Progress
from rebuilder.store.blobs import LocalBlobs
from rebuilder.world.files import storage_errors
from rebuilder.world.http import Fetcher


def make_bases(
    suites: Iterable[str], settings: Settings, fetcher: Fetcher, progress: Progress, now: datetime
) -> Iterator[tuple[ImageLock, Digest]]:
    """Lock what each suite is built in as it is now, and keep the root file system; what is kept already costs nothing.

    A planner with the same cache finds lock and file system there. What root wrote belongs to the cache's owner in the
    end, also when it failed.
    """
    origin = DebianOrigin(settings, fetcher, LocalBlobs(settings.blobs_dir), progress)
    try:
        for suite in dict.fromkeys(map(suite_to_build_in, suites)):
            lock = origin.images.lock(origin.archive.view(suite, now))
            yield lock, origin.images.rootfs(lock)
    finally:
        for root in (settings.cache, settings.state):
            _give_back(root)


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
