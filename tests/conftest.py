"""What tests of every part share: the frozen archive, made once a session."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.archive.frozen import FrozenArchive
from tests.archive.server import Loopback
from tests.archive.standard import make_standard


@pytest.fixture(scope="session")
def standard_archive(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> FrozenArchive:
    """Make the standard frozen archive, for reading; its packages outlive the session, its keys and dates are new."""
    assert pytestconfig.cache is not None
    workshop = pytestconfig.cache.mkdir("frozen-archive")
    return make_standard(tmp_path_factory.mktemp("frozen") / "archive", workshop)


@pytest.fixture
def spoiled_archive(standard_archive: FrozenArchive, tmp_path: Path) -> FrozenArchive:
    """Copy the standard archive, for a test to spoil."""
    return standard_archive.copy(tmp_path / "archive")


@pytest.fixture
def loopback(spoiled_archive: FrozenArchive) -> Iterator[Loopback]:
    """Serve `spoiled_archive` over HTTP; the faults are the test's to set."""
    with Loopback(spoiled_archive.root) as server:
        yield server
