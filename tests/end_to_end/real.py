"""The real packages under the frozen archive: those of a base image, and faketime, from the mirrors of this machine.

They are chosen and fetched once, by the project's own code, from the live signed archive, and kept beside their lock;
afterwards no test asks the network for them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from rebuilder.config import Settings
from rebuilder.model import codec
from rebuilder.model.digest import Digest
from rebuilder.model.plan import ImageLock
from rebuilder.origins.debian.image import lock_image
from rebuilder.origins.debian.origin import DebianOrigin
from rebuilder.origins.debian.plan import CLOCK_PACKAGES
from rebuilder.origins.debian.recipe import Selection, load_image_recipe
from rebuilder.origins.debian.supply import Supply
from rebuilder.progress import Silent
from rebuilder.store.blobs import LocalBlobs
from rebuilder.world.files import write_atomically
from rebuilder.world.http import HttpFetcher

SUITE = "trixie"


def real_debs(home: Path) -> tuple[Path, ...]:
    """Return the .debs, under their own names; fetch what is not there yet into `home`, which live tests use too."""
    kept = home / "packages.json"
    lock = codec.parse(kept.read_bytes(), ImageLock) if kept.is_file() else None
    if lock is not None:
        paths = tuple(home / "debs" / package.filename for package in lock.packages)
        if all(path.is_file() for path in paths):
            return paths
    lock, blobs = _fetch(home)
    paths = tuple(_named(home / "debs" / package.filename, blobs[package.digest]) for package in lock.packages)
    write_atomically(kept, codec.render(lock))
    return paths


def _fetch(home: Path) -> tuple[ImageLock, Mapping[Digest, Path]]:
    settings = Settings(cache=home / "cache", state=home / "state", results=home / "results")
    blobs, fetcher = LocalBlobs(settings.blobs_dir), HttpFetcher()
    view = DebianOrigin(settings, fetcher, blobs, Silent()).archive.view(SUITE, datetime.now(UTC))
    recipe = load_image_recipe()
    more = tuple(Selection(select=name, reason="for runs under another clock") for name in CLOCK_PACKAGES)
    lock = lock_image(view, recipe=replace(recipe, packages=(*recipe.packages, *more)))
    return lock, Supply(settings, fetcher, blobs, Silent()).bring_locked(lock)


def _named(path: Path, blob: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.is_file():
        os.link(blob, path)
    return path
