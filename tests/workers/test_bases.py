"""Base images are made for a planner who may not make them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rebuilder.config import Settings
from rebuilder.model.digest import Digest
from rebuilder.model.plan import ImageLock
from rebuilder.origins.debian import base_images
from rebuilder.origins.debian.archive import DebianArchive
from rebuilder.origins.debian.supply import Supply
from rebuilder.progress import Silent
from tests.origins.debian.paragraphs import BASE, view_of, write_index
from workers.bases import make_bases
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


def test_bases_are_those_of_what_suites_are_built_in(made: list[str], settings: Settings) -> None:
    """A suite of additions is built in its base: two suites, one image; the second time nothing is made."""
    first = list(make_bases(("trixie", "trixie-security"), settings, Nowhere(), Silent(), NOW))
    assert ([lock.suite for lock, _ in first], made) == (["trixie"], ["trixie"])
    assert list(make_bases(("trixie",), settings, Nowhere(), Silent(), NOW)) == first
    assert len(made) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_what_root_wrote_belongs_to_the_planner(made: list[str], settings: Settings) -> None:
    """Everything in the cache is the owner's of the cache, whom nobody else could give it to."""
    settings.cache.mkdir()
    os.chown(settings.cache, 4242, 4243)
    assert list(make_bases(("trixie",), settings, Nowhere(), Silent(), NOW))
    owners = {(path.lstat().st_uid, path.lstat().st_gid) for path in settings.cache.rglob("*")}
    assert (owners, made) == ({(4242, 4243)}, ["trixie"])
