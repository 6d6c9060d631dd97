"""What most builds install is prepared ahead of time, once, and a build that wants all of it starts from there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest

from rebuilder.build.cache import PreparedIndex
from rebuilder.build.engine import DockerEngine
from rebuilder.build.prepare import prepare
from rebuilder.config import Settings
from rebuilder.errors import EnvironmentUnavailable
from rebuilder.model import codec
from rebuilder.model.digest import Digest
from rebuilder.model.plan import Environment, ImageLock, Package
from rebuilder.origins.origin import Origin
from rebuilder.progress import Silent
from rebuilder.stages.warming import Place, is_warm, warm
from tests.build.factory import environment, package, repository

LOCK = ImageLock(
    distribution="debian", suite="trixie", architecture="amd64", epoch=1, installer="mmdebstrap 1", packages=()
)
DIGEST = Digest.of(codec.render(LOCK))
HELPER, LIBRARY = package("helper"), package("library")


def wishing(image: Digest, *packages: Package) -> Environment:
    """Make the environment of a build on the lock's image."""
    return replace(environment(image, *packages), lock=DIGEST)


@dataclass
class FakeOrigin:
    """Wants what it is told, and counts how often it is asked for files."""

    packages: tuple[Package, ...] | None
    asked: list[int] = field(default_factory=list)

    def prewarmed(self, lock: ImageLock, now: datetime) -> tuple[Package, ...]:
        """Say what most builds install; None stands for a suite that lacks it."""
        if self.packages is None:
            raise EnvironmentUnavailable("Unable to locate package helper")
        return self.packages

    def repository(self, packages: tuple[Package, ...]) -> Mapping[str, bytes | Path]:
        """Give the files."""
        self.asked.append(len(packages))
        return repository(packages)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Make directories of its own."""
    settings = Settings(cache=tmp_path, state=tmp_path / "state", results=tmp_path / "results")
    return Place(settings=settings, progress=Silent(), now=datetime.now(UTC))


@pytest.mark.engine
def test_a_build_starts_from_what_was_prewarmed(
    engine: DockerEngine, index: PreparedIndex, tiny: Digest, place: Place
) -> None:
    """Prewarming happens once; a build with these packages and one more installs the one, a fresh one installs all."""
    origin = FakeOrigin((HELPER, LIBRARY))
    assert not is_warm(wishing(tiny), place.settings)
    assert warm(LOCK, tiny, cast("Origin", origin), engine, place)
    assert not warm(LOCK, tiny, cast("Origin", origin), engine, place)
    assert origin.asked == [2]
    wanted = wishing(tiny, HELPER, LIBRARY, package("more"))
    assert is_warm(wanted, place.settings)
    with prepare(engine, index, wanted, origin.repository) as prepared:
        prepared.tree()
    with prepare(engine, index, wanted, origin.repository, fresh=True) as fresh:
        fresh.tree()
    assert origin.asked == [2, 1, 3]


@pytest.mark.engine
def test_newer_packages_are_prewarmed_again(
    engine: DockerEngine, index: PreparedIndex, tiny: Digest, place: Place
) -> None:
    """What was prewarmed serves until a build wants one of its packages in another version."""
    warm(LOCK, tiny, cast("Origin", FakeOrigin((HELPER,))), engine, place)
    assert is_warm(wishing(tiny, package("unrelated")), place.settings)
    newer = package("helper", "2")
    assert not is_warm(wishing(tiny, newer), place.settings)
    assert warm(LOCK, tiny, cast("Origin", FakeOrigin((newer,))), engine, place)
    assert len(index.records()) == 2


def test_a_suite_without_it_has_nothing_to_prewarm(tiny_id: Digest, place: Place) -> None:
    """That the usual helpers are not offered is remembered, and nobody asks again for the same image."""
    assert not warm(LOCK, tiny_id, cast("Origin", FakeOrigin(None)), cast("DockerEngine", None), place)
    assert is_warm(wishing(tiny_id, HELPER), place.settings)


@pytest.fixture
def tiny_id() -> Digest:
    """Name an image that need not exist."""
    return Digest.of(b"image")
