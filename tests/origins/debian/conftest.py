"""A Debian archive object on a frozen archive."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from rebuilder.origins.debian.archive import DebianArchive
from rebuilder.store.blobs import LocalBlobs
from rebuilder.world.http import HttpFetcher, Patience
from tests.archive.frozen import FrozenArchive

OpenArchive = Callable[..., DebianArchive]

IMPATIENT = Patience(connect_s=2, read_s=0.5, attempts=1)


@pytest.fixture
def open_archive(tmp_path: Path) -> OpenArchive:
    """Return a function that opens a frozen archive, by file or by address, as a fresh process would."""

    def open_it(frozen: FrozenArchive, *, address: str | None = None, **policy: object) -> DebianArchive:
        settings = frozen.settings(tmp_path / "home", address=address, **policy)
        return DebianArchive(settings, HttpFetcher(IMPATIENT), LocalBlobs(tmp_path / "home" / "blobs"))

    return open_it
