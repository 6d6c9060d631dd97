"""What is kept between runs, within a disk budget: prepared environments, and downloads by digest.

Both forget what was used longest ago, and never what somebody uses now. The use of an environment holds a shared lock,
and removal takes that lock alone or leaves the thing where it is; downloads are removed while no run is under way
(`rebuilder.stages.tidying`). Images live in the engine; what may be used of them is what the index
here says (image id and tree digest), for anybody who reaches the engine can label an image.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from rebuilder.build import locks
from rebuilder.build.bases import Bases
from rebuilder.build.container import Engine
from rebuilder.errors import EngineFailure
from rebuilder.model import codec
from rebuilder.model.digest import Digest
from rebuilder.store.kept import load_kept
from rebuilder.world import files


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """How full a cache is."""

    name: str
    count: int
    size_bytes: int


class Cache(Protocol):
    """One cache within a budget."""

    def usage(self) -> Usage:
        """Count what is kept."""

    def prune(self, budget_bytes: int) -> Usage:
        """Remove what was used longest ago and is not in use until the rest fits; return what was removed."""


def clear(cache: Cache) -> Usage:
    """Remove everything that is not in use."""
    return cache.prune(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedRecord:
    """One prepared environment that may be used again."""

    key: Digest
    maker: str
    """Installer and tree format, by version: another one's environments are not started from."""
    base: Digest
    image: Digest
    tree: Digest
    packages: tuple[Digest, ...]
    """Identity of each package on top of the base, sorted."""
    depth: int
    """How many installations lie on top of each other in it."""
    size_bytes: int
    """What it takes on top of what it was prepared from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    last_use: float
    size_bytes: int
    remove: Callable[[], bool]


class PreparedIndex:
    """The prepared environments that this machine made, by key."""

    def __init__(self, root: Path, engine: Engine) -> None:
        self._root = root
        self._engine = engine
        self.bases = Bases(root, engine)

    def use_lock(self, key: Digest) -> Path:
        """Shared by all who use the environment of that key; held alone by who removes it."""
        return self._root / f"{key.hex}.use"

    def make_lock(self, key: Digest) -> Path:
        """Held alone by who makes the environment of that key, until it is recorded."""
        return self._root / f"{key.hex}.make"

    def find(self, key: Digest) -> PreparedRecord | None:
        """Look one up whose image the engine still holds, and note that it is used."""
        record = self._read(self._path(key))
        if record is None or record.key != key or self._engine.image(record.image) is None:
            return None
        self._touch(record)
        return record

    def largest_subset(
        self, base: Digest, packages: frozenset[Digest], *, maker: str, depth: int
    ) -> PreparedRecord | None:
        """Find the one with most of these packages, and no others, that is at most so deep."""
        candidates = [
            record
            for record in self.records()
            if (record.base, record.maker) == (base, maker)
            and record.depth <= depth
            and packages.issuperset(record.packages)
        ]
        for record in sorted(candidates, key=lambda record: len(record.packages), reverse=True):
            if self._engine.image(record.image) is not None:
                self._touch(record)
                return record
        return None

    def keep(self, record: PreparedRecord) -> None:
        """From now on this one may be used again."""
        files.write_atomically(self._path(record.key), codec.render(record), mode=0o600)

    def forget(self, key: Digest) -> None:
        """From now on this one may not be used."""
        with files.storage_errors(self._root):
            self._path(key).unlink(missing_ok=True)

    def records(self) -> tuple[PreparedRecord, ...]:
        """Everything kept, used longest ago first."""
        paths = sorted(self._root.glob("*.json"), key=_last_use)
        found = (self._read(path) for path in paths)
        return tuple(record for record in found if record is not None)

    def usage(self) -> Usage:
        """See Cache.usage. The base images count, for they take most of the space."""
        return _sum(self._kept())

    def prune(self, budget_bytes: int) -> Usage:
        """See Cache.prune."""
        kept = self._kept()
        excess = sum(one.size_bytes for one in kept) - budget_bytes
        removed = []
        for one in kept:
            if excess <= 0:
                break
            if one.remove():
                removed.append(one)
                excess -= one.size_bytes
        return _sum(removed)

    def _kept(self) -> list[_Kept]:
        """Environments and bases, used longest ago first; a base is used whenever an environment of it is."""
        environments = []
        used: dict[Digest, float] = {}
        for record in self.records():
            last_use = _last_use(self._path(record.key))
            used[record.base] = max(last_use, used.get(record.base, 0.0))
            environments.append(
                _Kept(last_use=last_use, size_bytes=record.size_bytes, remove=partial(self._remove, record))
            )
        bases = [
            _Kept(
                last_use=max(last_use, used.get(base.image, 0.0)),
                size_bytes=base.size_bytes,
                remove=partial(self.bases.remove, base.image),
            )
            for last_use, base in self.bases.kept()
        ]
        return sorted([*environments, *bases], key=lambda one: one.last_use)  # stable: a base after its environments

    def _remove(self, record: PreparedRecord) -> bool:
        with locks.exclusive_if_free(self.use_lock(record.key)) as free:
            if not free:
                return False
            try:
                self._engine.remove_image(record.image)
            except EngineFailure:
                return False  # another environment was prepared from it: its layers are in use
            self.forget(record.key)
        return True

    def _path(self, key: Digest) -> Path:
        return self._root / f"{key.hex}.json"

    def _read(self, path: Path) -> PreparedRecord | None:
        return load_kept(path, PreparedRecord)

    def _touch(self, record: PreparedRecord) -> None:
        with suppress(OSError):
            os.utime(self._path(record.key))


class Downloads:
    """Downloaded files by digest, as LocalBlobs keeps them under the same root.

    Whoever prunes sees to it that no run is under way; who uses a file notes it in the file's modification time.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def usage(self) -> Usage:
        """See Cache.usage."""
        sizes = [path.stat().st_size for path in self._paths()]
        return Usage(name="downloads", count=len(sizes), size_bytes=sum(sizes))

    def prune(self, budget_bytes: int) -> Usage:
        """See Cache.prune. What killed runs had half written goes as well."""
        for path in self._root.rglob(".*"):
            with files.storage_errors(path):
                if path.is_file():
                    path.unlink(missing_ok=True)
        return self.shrink(budget_bytes)

    def shrink(self, budget_bytes: int) -> Usage:
        """Prune whole files alone, while others read and write: they must be able to have what is gone made again."""
        kept = sorted(self._paths(), key=_last_use)
        excess = sum(path.stat().st_size for path in kept) - budget_bytes
        count = freed = 0
        for path in kept:
            if freed >= excess:
                break
            with files.storage_errors(path):
                freed += path.stat().st_size
                path.unlink()
            count += 1
        return Usage(name="downloads", count=count, size_bytes=freed)

    def _paths(self) -> list[Path]:
        return [path for path in (self._root / "sha256").glob("[0-9a-f][0-9a-f]/*") if len(path.name) == 64]


def _sum(kept: list[_Kept]) -> Usage:
    return Usage(name="prepared", count=len(kept), size_bytes=sum(one.size_bytes for one in kept))


def _last_use(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
