"""A base image is bootstrapped once: whoever has its root file system loads it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from rebuilder.build.container import Engine
from rebuilder.config import Settings
from rebuilder.errors import EnvironmentUnavailable
from rebuilder.model.digest import Digest
from rebuilder.model.plan import ImageLock
from rebuilder.origins.debian import base_images
from rebuilder.origins.debian.base_images import BaseImages
from rebuilder.origins.debian.image import lock_image
from rebuilder.origins.debian.supply import Supply
from rebuilder.progress import Silent
from rebuilder.store.blobs import LocalBlobs
from rebuilder.world.http import Fetcher
from tests.origins.debian.paragraphs import BASE, view_of, write_index


class Offline:
    """Nothing is downloaded."""


class Shelf:
    """An engine that holds what it was given, and nothing that it lost."""

    def __init__(self) -> None:
        self.loads = 0
        self.lost = False

    def load_image(self, archive: Iterable[bytes]) -> None:
        """See Engine.load_image."""
        for _ in archive:
            pass
        self.loads, self.lost = self.loads + 1, False

    def image(self, image: Digest) -> object:
        """See Engine.image."""
        return SimpleNamespace(image=image) if self.loads and not self.lost else None


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Bootstrap by writing a file; list for which suites."""
    suites: list[str] = []

    def write(lock: ImageLock, _debs: Mapping[Digest, Path], target: Path) -> Path:
        suites.append(lock.suite)
        target.write_bytes(b"a root file system" * len(suites))
        return target

    monkeypatch.setattr(base_images, "bootstrap", write)
    monkeypatch.setattr(Supply, "bring_locked", lambda *_: {})
    return suites


@pytest.fixture
def images(tmp_path: Path) -> BaseImages:
    """Give the base images of a machine without network."""
    settings = settings_in(tmp_path)
    blobs = LocalBlobs(settings.blobs_dir)
    return BaseImages(settings, Supply(settings, cast("Fetcher", Offline()), blobs, Silent()), blobs, Silent())


@pytest.fixture
def lock(tmp_path: Path) -> ImageLock:
    """Lock a small image."""
    return lock_image(view_of(write_index(tmp_path / "main", BASE)))


def settings_in(root: Path) -> Settings:
    """Keep everything below one directory."""
    return Settings(cache=root / "cache", state=root / "state", results=root / "results")


def test_who_has_the_root_file_system_loads_it(made: list[str], images: BaseImages, lock: ImageLock) -> None:
    """Kept before any engine saw it, it gives the image that a bootstrap would; and again where that was lost."""
    shelf = Shelf()
    kept = images.rootfs(lock)
    first = images.ensure(lock, cast("Engine", shelf))
    shelf.lost = True
    assert images.ensure(lock, cast("Engine", shelf)) == first
    assert images.rootfs(lock) == kept
    assert (made, shelf.loads) == ([lock.suite], 2)
    assert [each.rootfs for each in images.made()] == [kept]


def test_a_root_file_system_that_comes_out_otherwise_is_refused(
    made: list[str], images: BaseImages, lock: ImageLock, tmp_path: Path
) -> None:
    """Where the kept one is gone, it is made again, and must be the same: the record stays as it was."""
    kept = images.rootfs(lock)
    LocalBlobs(settings_in(tmp_path).blobs_dir).path(kept).unlink()
    with pytest.raises(EnvironmentUnavailable, match="came out as"):
        images.rootfs(lock)
    assert (len(made), [each.rootfs for each in images.made()]) == (2, [kept])
