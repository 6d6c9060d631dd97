"""One farm a file of tests: each does its harm, and leaves the farm whole."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.workers.faults.farm import EVERYBODY, Farm, running


@pytest.fixture(scope="module")
def whole_farm() -> Iterator[Farm]:
    """Run a farm with everybody in it."""
    with running(*EVERYBODY) as made:
        yield made


@pytest.fixture
def farm(whole_farm: Farm) -> Farm:
    """Give the farm at rest, with everybody there."""
    whole_farm.start(*(name for name in EVERYBODY if name not in whole_farm.processes))
    assert whole_farm.owed() == 0, whole_farm.said()
    return whole_farm
