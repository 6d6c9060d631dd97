"""Base images that prepared environments were made from: how long ago each was used, who uses it now, what it holds."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rebuilder.build import locks
from rebuilder.build.container import Engine, ImageRecord
from rebuilder.build.images import BASE_LABEL, base_images
from rebuilder.build.tree import TREE_FORMAT
from rebuilder.errors import EngineFailure
from rebuilder.model import codec
from rebuilder.model.digest import Digest
from rebuilder.store.kept import load_kept
from rebuilder.world import files


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseTree:
    """What was found in a base image when something was first built in it as it is."""

    image: Digest
    format: str
    """Of the digest (`rebuilder.build.tree`): one in another format says nothing."""
    tree: Digest


class Bases:
    """The base images that were used through one cache directory; other ones are somebody else's to remove."""

    def __init__(self, root: Path, engine: Engine) -> None:
        self._root = root
        self._engine = engine

    @contextmanager
    def using(self, image: Digest) -> Iterator[None]:
        """Keep an image from removal while the context lasts, and note that it is used."""
        with locks.shared(self._path(image)):
            with files.storage_errors(self._root):
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

    def tree(self, image: Digest) -> Digest | None:
        """Return the recorded digest of its tree; None before its first use as an environment."""
        record = load_kept(self._tree_path(image), BaseTree)
        if record is None or (record.image, record.format) != (image, TREE_FORMAT):
            return None
        return record.tree

    def keep_tree(self, image: Digest, tree: Digest) -> None:
        """From now on nothing is built in this image unless it has that tree."""
        record = BaseTree(image=image, format=TREE_FORMAT, tree=tree)
        files.write_atomically(self._tree_path(image), codec.render(record), mode=0o600)

    def remove(self, image: Digest) -> bool:
        """Remove one, and what is recorded of it, unless it is used, or an environment was prepared from it."""
        path = self._path(image)
        with locks.exclusive_if_free(path) as free:
            if not free:
                return False
            try:
                self._engine.remove_image(image)
            except EngineFailure:
                return False
            with files.storage_errors(path):
                for left in (path, *path.parent.glob(f"{image.hex}.*.json")):
                    left.unlink(missing_ok=True)
        return True

    def _path(self, image: Digest) -> Path:
        return self._root / "bases" / image.hex

    def _tree_path(self, image: Digest) -> Path:
        """One for each kind of engine: an id may be the same in two, what they put into a container is not."""
        return self._root / "bases" / f"{image.hex}.{self._engine.describe().name}.json"
