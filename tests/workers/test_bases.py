"""Base images are made for a planner who may not make them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event

import pytest

from rebuilder.config import Settings
from rebuilder.errors import NetworkFailure, StorageFailure, UntrustedError
from rebuilder.model import codec
from rebuilder.model.digest import Digest
from rebuilder.model.plan import ImageLock
from rebuilder.origins.debian import base_images
from rebuilder.origins.debian.archive import DebianArchive
from rebuilder.origins.debian.origin import DebianOrigin
from rebuilder.origins.debian.supply import Supply
from rebuilder.progress import Silent
from rebuilder.store.blobs import LocalBlobs
from tests.origins.debian.paragraphs import BASE, view_of, write_index
from workers.bases import Base, Bases, serve_bases
from workers.roles.nowhere import Nowhere

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Keep everything below one directory."""
    return Settings(cache=tmp_path / "cache", state=tmp_path / "state", results=tmp_path / "results")


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Bootstrap by writing a file, from one small archive; list for which suites."""
    suites: list[str] = []
    view = view_of(write_index(tmp_path / "main", BASE))

    def write(lock: ImageLock, _debs: Mapping[Digest, Path], target: Path) -> Path:
        suites.append(lock.suite)
        target.write_bytes(b"a root file system")
        return target

    monkeypatch.setattr(base_images, "bootstrap", write)
    monkeypatch.setattr(Supply, "bring_locked", lambda *_: {})
    monkeypatch.setattr(DebianArchive, "view", lambda *_: view)
    return suites


def make(settings: Settings, *suites: str) -> list[tuple[ImageLock, Digest]]:
    """Make the base images of suites."""
    return list(Bases(settings, Nowhere(), Silent()).make(suites, NOW))


def ask(settings: Settings, lock: ImageLock | None = None) -> ImageLock:
    """Leave a lock as a planner does who cannot bootstrap."""
    blobs = LocalBlobs(settings.blobs_dir)
    origin = DebianOrigin(settings, Nowhere(), blobs, Silent())
    lock = lock or origin.images.lock(origin.archive.view("trixie", NOW))
    origin.images.keep(lock)
    return lock


def test_bases_are_those_of_what_suites_are_built_in(made: list[str], settings: Settings) -> None:
    """A suite of additions is built in its base: two suites, one image; the second time nothing is made."""
    first = make(settings, "trixie", "trixie-security")
    assert ([lock.suite for lock, _ in first], made) == (["trixie"], ["trixie"])
    assert make(settings, "trixie") == first
    assert len(made) == 1


def test_what_a_planner_lacks_is_made(made: list[str], settings: Settings) -> None:
    """The lock that it left becomes a root file system, once; the planner finds it, and it is wanted no more."""
    bases = Bases(settings, Nowhere(), Silent())
    assert list(bases.make_wanted(datetime.now(UTC))) == []
    lock = ask(settings)
    ((made_of, rootfs),) = bases.make_wanted(datetime.now(UTC))
    assert made_of == lock
    assert LocalBlobs(settings.blobs_dir).get(rootfs) == b"a root file system"
    assert list(bases.make_wanted(datetime.now(UTC))) == []
    bases.verify_made()
    assert made == ["trixie"]


def test_a_root_file_system_that_went_out_of_the_cache_is_wanted_again(made: list[str], settings: Settings) -> None:
    """The planner asks once more for what its cache gave up, and it is made once more."""
    bases = Bases(settings, Nowhere(), Silent())
    lock = ask(settings)
    ((_, rootfs),) = bases.make_wanted(datetime.now(UTC))
    LocalBlobs(settings.blobs_dir).path(rootfs).unlink()
    ask(settings, lock)
    assert list(bases.make_wanted(datetime.now(UTC))) == [(lock, rootfs)]
    assert len(made) == 2


def test_what_was_asked_for_long_ago_is_left(made: list[str], settings: Settings) -> None:
    """A planner who wants it still asks again, and only then root has work."""
    lock = ask(settings)
    bases = Bases(settings, Nowhere(), Silent())
    assert list(bases.make_wanted(datetime.now(UTC) + timedelta(days=2))) == []
    assert made == []
    assert [each for each, _ in bases.make_wanted(datetime.now(UTC))] == [lock]


def test_root_installs_nothing_that_no_signed_index_names(made: list[str], settings: Settings) -> None:
    """A lock whose package is not the archive's is refused, however it came there: unhealthy while it is wanted.

    Also where somebody wrote down that it had been made before.
    """
    lock = ask(settings)
    evil = replace(lock, packages=(replace(lock.packages[0], digest=Digest.of(b"another")), *lock.packages[1:]))
    (settings.images_dir / "locks").joinpath(f"{Digest.of(codec.render(lock)).hex}.json").unlink()
    ask(settings, evil)
    digest = Digest.of(codec.render(evil))
    claimed = base_images.Made(lock=digest, rootfs=Digest.of(b"not there"), image=Digest.of(b"image"))
    (settings.images_dir / "made").mkdir()
    (settings.images_dir / "made" / f"{digest.hex}.json").write_bytes(codec.render(claimed))
    bases = Bases(settings, Nowhere(), Silent())
    assert list(bases.make_wanted(datetime.now(UTC))) == []
    with pytest.raises(UntrustedError, match="no signed index"):
        bases.verify_made()
    assert made == []
    assert list(bases.make_wanted(datetime.now(UTC) + timedelta(days=2))) == []
    bases.verify_made()


def test_what_cannot_be_made_is_tried_again_later_each_time(
    made: list[str], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a minute, a minute, two: a mirror that is away is not asked every few seconds; then it is as ever."""
    ask(settings)
    bases, began, tried = Bases(settings, Nowhere(), Silent()), datetime.now(UTC), list[int]()
    away = iter((True, True, True, False))

    def bring(*_: object) -> dict[Digest, Path]:
        tried.append(second)
        if next(away):
            raise NetworkFailure("the mirror is away")
        return {}

    monkeypatch.setattr(Supply, "bring_locked", bring)
    for second in range(0, 400, 5):
        list(bases.make_wanted(began + timedelta(seconds=second)))
    assert tried == [0, 30, 90, 210]
    assert made == ["trixie"]
    bases.verify_made()


def test_the_service_goes_on_when_it_cannot_look(
    made: list[str], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cache that is not readable for a moment is no reason to end; it ends when it is told to."""
    monkeypatch.setattr("workers.bases.LOOK_S", 0)
    ask(settings)
    bases, looks = Bases(settings, Nowhere(), Silent()), list[int]()
    stopped = Event()
    look = bases.make_wanted

    def failing_first(at: datetime) -> Iterator[Base]:
        looks.append(len(looks))
        if len(looks) == 1:
            raise StorageFailure("the disk is away")
        stopped.set()
        yield from look(at)

    monkeypatch.setattr(bases, "make_wanted", failing_first)
    serve_bases(bases, stopped)
    assert (looks, made) == ([0, 1], ["trixie"])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_what_root_wrote_belongs_to_the_planner(made: list[str], settings: Settings) -> None:
    """Everything in the cache is the owner's of the cache, whom nobody else could give it to."""
    settings.cache.mkdir()
    os.chown(settings.cache, 4242, 4243)
    assert make(settings, "trixie")
    owners = {(path.lstat().st_uid, path.lstat().st_gid) for path in settings.cache.rglob("*")}
    assert (owners, made) == ({(4242, 4243)}, ["trixie"])
