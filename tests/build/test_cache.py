"""Caches forget what was used longest ago, within a budget, and never what is in use."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest

from rebuilder.build.cache import Downloads, PreparedIndex, PreparedRecord, clear
from rebuilder.build.container import Description, Engine, ImageRecord
from rebuilder.build.locks import exclusive, exclusive_if_free, shared
from rebuilder.errors import EngineFailure
from rebuilder.model.digest import Digest
from rebuilder.store.blobs import LocalBlobs


class FakeEngine:
    """Holds image ids."""

    def __init__(self) -> None:
        self.held: set[Digest] = set()
        self.needed: set[Digest] = set()
        self.bases: set[Digest] = set()
        self.name = "docker"
        self.release: Digest | None = None
        """Needed only until any image has been removed."""

    def describe(self) -> Description:
        """Name it."""
        return Description(name=self.name, version="1", kernel="6", architecture="amd64")

    def image(self, image: Digest) -> ImageRecord | None:
        """Say whether it is here."""
        if image not in self.held:
            return None
        return ImageRecord(image=image, labels={}, size_bytes=1, made_at=datetime(2026, 1, 1, tzinfo=UTC))

    def images(self) -> tuple[ImageRecord, ...]:
        """List base images, whose environments inherit the label."""
        base = {"rebuilder": "1", "rebuilder.base": "sha256:lock"}
        records = (self.image(image) for image in sorted(self.bases))
        return tuple(replace(record, labels=base, size_bytes=1000) for record in records if record is not None)

    def remove_image(self, image: Digest) -> None:
        """Remove it, unless another is made from it."""
        if image in self.needed:
            raise EngineFailure("image has dependent child images")
        self.held.discard(image)
        self.needed -= {self.release}


@pytest.fixture
def fake() -> FakeEngine:
    """Make an engine without images."""
    return FakeEngine()


@pytest.fixture
def records(tmp_path: Path, fake: FakeEngine) -> PreparedIndex:
    """Make an empty index on it."""
    return PreparedIndex(tmp_path / "prepared", cast("Engine", fake))


_BASE = Digest.of(b"base")


def _keep(index: PreparedIndex, fake: FakeEngine, name: str, *packages: str, age_s: int = 0) -> PreparedRecord:
    record = PreparedRecord(
        key=Digest.of(name.encode()),
        maker="test/1",
        base=_BASE,
        image=Digest.of(f"image {name}".encode()),
        tree=Digest.of(b"tree"),
        packages=tuple(sorted(_packages(*packages))),
        depth=1,
        size_bytes=100,
    )
    fake.held.add(record.image)
    index.keep(record)
    path = index.use_lock(record.key).with_suffix(".json")
    os.utime(path, (path.stat().st_atime, path.stat().st_mtime - age_s))
    return record


def _packages(*names: str) -> frozenset[Digest]:
    return frozenset(Digest.of(name.encode()) for name in names)


def test_the_environment_used_longest_ago_goes_first(records: PreparedIndex, fake: FakeEngine) -> None:
    """A use counts, not the age."""
    old, middle, new = (_keep(records, fake, name, age_s=age) for name, age in (("a", 300), ("b", 200), ("c", 100)))
    assert records.find(old.key) == old
    removed = records.prune(200)
    assert (removed.count, removed.size_bytes) == (1, 100)
    assert fake.held == {old.image, new.image}
    assert records.find(middle.key) is None
    assert records.usage().size_bytes == 200


def test_an_environment_in_use_or_needed_stays(records: PreparedIndex, fake: FakeEngine) -> None:
    """Neither a shared lock's thing nor one that another was made from is removed."""
    used, needed, free = (_keep(records, fake, name) for name in ("used", "needed", "free"))
    fake.needed.add(needed.image)
    with shared(records.use_lock(used.key)):
        assert clear(records).count == 1
    assert fake.held == {used.image, needed.image}
    assert records.find(free.key) is None


def test_an_environment_whose_image_is_gone_is_not_found(records: PreparedIndex, fake: FakeEngine) -> None:
    """Somebody removed the image behind our back: it is prepared again."""
    record = _keep(records, fake, "a", "p")
    fake.held.clear()
    assert records.find(record.key) is None
    assert records.largest_subset(_BASE, _packages("p"), maker="test/1", depth=5) is None


def test_a_base_goes_after_its_environments_and_not_in_use(
    records: PreparedIndex, fake: FakeEngine, tmp_path: Path
) -> None:
    """Base images count and are pruned too, but only those that were used through this index."""
    other = Digest.of(b"another cache directory's")
    fake.held |= {_BASE, other}
    fake.bases = {_BASE, other}
    record = _keep(records, fake, "a", age_s=100)
    with records.bases.using(_BASE):
        assert (records.usage().count, records.usage().size_bytes) == (2, 1100)
        assert records.prune(1000).size_bytes == 100
        assert record.image not in fake.held
        assert clear(records).count == 0
    assert clear(records).size_bytes == 1000
    assert fake.held == {other}


def test_clearing_takes_a_base_with_its_environments(records: PreparedIndex, fake: FakeEngine) -> None:
    """A run notes the use of the base first, then that of the environment, which must go first all the same."""
    fake.held, fake.bases, fake.needed = {_BASE}, {_BASE}, {_BASE}
    with records.bases.using(_BASE):
        _keep(records, fake, "a", age_s=-10)
    fake.release = _BASE
    assert clear(records).count == 2
    assert fake.held == set()


def test_the_tree_of_a_base_is_remembered_as_long_as_the_base(records: PreparedIndex, fake: FakeEngine) -> None:
    """Of that image only, in this format only, by this kind of engine only; and a spoilt record is none."""
    fake.held, fake.bases = {_BASE}, {_BASE}
    tree = Digest.of(b"tree")
    with records.bases.using(_BASE):
        assert records.bases.tree(_BASE) is None
        records.bases.keep_tree(_BASE, tree)
    assert records.bases.tree(_BASE) == tree
    assert records.bases.tree(Digest.of(b"other")) is None
    fake.name = "podman"
    assert records.bases.tree(_BASE) is None
    fake.name = "docker"
    assert clear(records).count == 1
    assert records.bases.tree(_BASE) is None


@pytest.mark.parametrize("spoil", [lambda data: data[:-10], lambda data: data.replace(b"tree/", b"tree/0")])
def test_a_spoilt_tree_of_a_base_is_none(
    spoil: Callable[[bytes], bytes], records: PreparedIndex, tmp_path: Path
) -> None:
    """Half a record, or one in another format, is not compared with."""
    records.bases.keep_tree(_BASE, Digest.of(b"tree"))
    (path,) = (tmp_path / "prepared" / "bases").glob("*.json")
    path.write_bytes(spoil(path.read_bytes()))
    assert records.bases.tree(_BASE) is None


def test_a_spoilt_record_is_no_record(records: PreparedIndex, fake: FakeEngine) -> None:
    """Half a record, or one under another's name, is not believed."""
    record = _keep(records, fake, "a")
    path = records.use_lock(record.key).with_suffix(".json")
    other = path.with_name(f"{Digest.of(b'other').hex}.json")
    other.write_bytes(path.read_bytes())
    assert records.find(Digest.of(b"other")) is None
    path.write_bytes(path.read_bytes()[:-10])
    assert records.find(record.key) is None


def test_only_a_subset_on_the_same_base_by_the_same_maker_is_started_from(
    records: PreparedIndex, fake: FakeEngine
) -> None:
    """The largest of those that hold nothing else."""
    _keep(records, fake, "one", "p")
    two = _keep(records, fake, "two", "p", "q")
    _keep(records, fake, "more", "p", "q", "x")
    wanted = _packages("p", "q", "r")
    assert records.largest_subset(_BASE, wanted, maker="test/1", depth=5) == two
    assert records.largest_subset(_BASE, wanted, maker="test/2", depth=5) is None
    assert records.largest_subset(Digest.of(b"other"), wanted, maker="test/1", depth=5) is None
    records.keep(replace(two, depth=6))
    found = records.largest_subset(_BASE, wanted, maker="test/1", depth=5)
    assert found is not None
    assert found.packages == tuple(_packages("p"))


def test_the_download_used_longest_ago_goes_first(tmp_path: Path) -> None:
    """Down to the budget and no further; everything where everything is cleared."""
    blobs, downloads = LocalBlobs(tmp_path), Downloads(tmp_path)
    old, new = blobs.put(b"o" * 100), blobs.put(b"n" * 100)
    os.utime(blobs.path(old), (1, 1))
    assert (downloads.usage().count, downloads.usage().size_bytes) == (2, 200)
    assert downloads.prune(200).count == 0
    assert downloads.prune(199).size_bytes == 100
    assert (blobs.has(old), blobs.has(new)) == (False, True)
    assert clear(downloads).count == 1
    assert downloads.usage().count == 0


def test_locks_exclude_as_they_say(tmp_path: Path) -> None:
    """Many users, or one maker."""
    path = tmp_path / "lock"
    with shared(path), shared(path), exclusive_if_free(path) as free:
        assert not free
    with exclusive(path) as lock:
        with exclusive_if_free(path) as free:
            assert not free
        lock.release()
        with exclusive_if_free(path) as free:
            assert free
