"""Base images that prepared environments were made from: how long ago each was used, and who uses it now."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rebuilder.build import locks
from rebuilder.build.container import Engine, ImageRecord
from rebuilder.build.images import BASE_LABEL, base_images
from rebuilder.errors import EngineFailure
from rebuilder.model.digest import Digest
from rebuilder.world.files import storage_errors


class Bases:
    """The base images that were used through one cache directory; other ones are somebody else's to remove."""

    def __init__(self, root: Path, engine: Engine) -> None:
        self._root = root
        self._engine = engine

    @contextmanager
    def using(self, image: Digest) -> Iterator[None]:
        """Keep an image from removal while the context lasts, and note that it is used."""
        with locks.shared(self._path(image)):
            with storage_errors(self._root):
                os.utime(self._path(image))
            yield

    def kept(self) -> tuple[tuple[float, ImageRecord], ...]:
        """Each that the engine holds and that can be made again from its lock, with the time of its last use."""
        found = []
        for record in base_images(self._engine):
            path = self._path(record.image)
            if record.labels[BASE_LABEL] and path.exists():
                found.append((path.stat().st_mtime, record))
        return tuple(found)

    def remove(self, image: Digest) -> bool:
        """Remove one unless it is used, or an environment was prepared from it."""
        path = self._path(image)
        with locks.exclusive_if_free(path) as free:
            if not free:
                return False
            try:
                self._engine.remove_image(image)
            except EngineFailure:
                return False
            with storage_errors(path):
                path.unlink(missing_ok=True)
        return True

    def _path(self, image: Digest) -> Path:
        return self._root / "bases" / image.hex
