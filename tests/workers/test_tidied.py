"""A worker's caches stay within their budgets, and nobody loses what he uses."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rebuilder.config import Settings
from rebuilder.errors import StorageFailure
from rebuilder.model.digest import Digest
from rebuilder.model.job import JobKind
from rebuilder.stages import tidying
from tests.servers import free_port
from tests.workers.office import Office
from tests.workers.processes import process
from workers.lease.protocol import Claim
from workers.roles.place import Place
from workers.tidied import EVERY_S, tidied

_BLOB = 100_000
_CLAIM = Claim(
    job=1,
    fence=1,
    kind=JobKind.REBUILD,
    target="pkg:deb/debian/demo@1.0",
    input=None,
    ordinal=0,
    attempt=1,
    expires_at=datetime(2026, 11, 24, tzinfo=UTC),
    lease_s=60,
)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Give a builder's place whose cache may hold three blobs."""
    place = Office(tmp_path).posts["builder-1"].place
    return replace(place, settings=replace(place.settings, cache_budget_bytes=3 * _BLOB))


def fetching(count: int) -> Callable[[Claim, Place], Digest]:
    """Make a step that brings so many blobs here."""

    def step(claim: Claim, place: Place) -> Digest:
        return [place.blobs.put(os.urandom(_BLOB)) for _ in range(count)][-1]

    return step


def held(place: Place) -> int:
    """Count the bytes in the cache."""
    return sum(path.stat().st_size for path in place.blobs.root.rglob("*") if path.is_file())


def test_a_cache_is_pruned_between_jobs(place: Place) -> None:
    """A job may need more than the budget; when it has ended, the cache has room again, the last blobs in it."""
    last = tidied(fetching(8))(_CLAIM, place)
    assert held(place) == 3 * _BLOB
    assert place.blobs.has(last)


def test_a_cache_is_pruned_after_a_failure_as_well(place: Place) -> None:
    """A disk that is full is no reason to leave it so."""

    def fail(claim: Claim, place: Place) -> Digest:
        fetching(8)(claim, place)
        raise StorageFailure("no space")

    with pytest.raises(StorageFailure, match="no space"):
        tidied(fail)(_CLAIM, place)
    assert held(place) == 3 * _BLOB


def test_a_cache_is_not_looked_at_after_each_job(place: Place) -> None:
    """Short jobs do not pay for counting."""
    now = [0.0]
    step = tidied(fetching(8), lambda: now[0])
    step(_CLAIM, place)
    now[0] += EVERY_S / 2
    step(_CLAIM, place)
    assert held(place) == 11 * _BLOB
    now[0] += EVERY_S / 2
    step(_CLAIM, place)
    assert held(place) == 3 * _BLOB


def test_what_somebody_else_uses_is_left_alone(place: Place) -> None:
    """Another worker's job, or a coordinator whose blobs these are, keeps everything there."""
    with tidying.in_use(place.settings):
        tidied(fetching(8))(_CLAIM, place)
        assert held(place) == 8 * _BLOB


def test_a_coordinators_blobs_are_used_as_long_as_it_runs(farm: Path, ledger: dict[str, str]) -> None:
    """Where a worker, or a person's `verify`, has the same cache, its copies are the farm's only ones."""
    state = farm / "coordinator"
    settings = Settings(cache=state / "cache", state=state, results=state / "results")
    with process(state, "coordinator", "--port", str(free_port()), **ledger) as coordinator:
        coordinator.ready()
        with tidying.nobody_uses(settings) as free:
            assert not free
    with tidying.nobody_uses(settings) as free:
        assert free


def test_nobody_prunes_under_a_job(place: Place) -> None:
    """While a step runs, no other process finds the caches free."""

    def look(claim: Claim, place: Place) -> Digest:
        with tidying.nobody_uses(place.settings) as free:
            assert not free
        return Digest.of(b"looked")

    tidied(look)(_CLAIM, place)


def test_what_killed_runs_left_goes(place: Place) -> None:
    """Half a blob under a temporary name is nobody's when nobody uses the cache."""
    digest = place.blobs.put(b"whole")
    for path in (place.blobs.root / ".part-killed", place.blobs.path(digest).with_name(".new-killed")):
        path.write_bytes(b"half")
    tidied(fetching(1))(_CLAIM, place)
    assert [path.name for path in place.blobs.root.rglob(".*")] == []
    assert place.blobs.get(digest) == b"whole"
