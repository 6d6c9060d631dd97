"""The frozen archive, made once a session (packages, image and references once a machine), and people who use it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Protocol

import pytest

from tests.archive.server import Loopback
from tests.end_to_end.person import Person, Said, configuration
from tests.end_to_end.site import Site, make_site

_SHARED = ("images", "prepared", "dependencies", "indices")


class MakePerson(Protocol):
    """Makes people."""

    def __call__(
        self,
        name: str = "person",
        *,
        address: str | None = None,
        more: str = "",
        snapshot: str | None = None,
        downloads: bool = True,
    ) -> Person:
        """Make somebody who uses the archive at `address`.

        `more` is TOML; without `downloads` nothing is on this machine but images and prepared environments, so that
        every file comes from the mirror.
        """


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test in this folder needs the engine."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.engine)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Site:
    """Make the archive."""
    return make_site(pytestconfig.rootpath / ".state" / "test-cache" / "end-to-end", tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="session")
def served(site: Site) -> Iterator[str]:
    """Serve the archive as it should be."""
    with Loopback(site.archive.root) as server:
        yield server.address


@pytest.fixture
def mirror(site: Site) -> Iterator[Loopback]:
    """Serve the archive for one test, with faults that are the test's to set."""
    with Loopback(site.archive.root) as server:
        yield server


@pytest.fixture(scope="session")
def regular(site: Site, served: str, tmp_path_factory: pytest.TempPathFactory) -> Person:
    """Somebody whose results many tests look at, and none changes."""
    return settle(site, tmp_path_factory.mktemp("regular"), served)


@pytest.fixture(scope="session")
def verified(regular: Person) -> Callable[[str], Said]:
    """Verify a sample the first time it is asked for, and remember the answer."""
    return cache(lambda name: regular.verify(f"deb:trixie/{name}"))


@pytest.fixture
def make_person(site: Site, served: str, tmp_path: Path) -> MakePerson:
    """Make people; each has a directory of their own."""

    def make(
        name: str = "person",
        *,
        address: str | None = None,
        more: str = "",
        snapshot: str | None = None,
        downloads: bool = True,
    ) -> Person:
        home = tmp_path / name
        home.mkdir()
        return settle(site, home, address or served, more=more, snapshot=snapshot, downloads=downloads)

    return make


@pytest.fixture
def person(make_person: MakePerson) -> Person:
    """Somebody with nothing special."""
    return make_person()


def settle(
    site: Site, home: Path, address: str, *, more: str = "", snapshot: str | None = None, downloads: bool = True
) -> Person:
    """Write somebody's configuration."""
    settings = site.archive.settings(home, address=address)
    settings = replace(settings, debian=replace(settings.debian, snapshot=snapshot))
    if downloads:
        settings = replace(settings, cache=site.cache)
    else:
        settings.cache.mkdir()
        for part in _SHARED:
            (settings.cache / part).symlink_to(site.cache / part)
    (home / "rebuilder.toml").write_text(configuration(settings, more))
    return Person(home=home)
