"""Hundreds of short jobs on a farm whose processes are killed at random, by a seed: nothing may be lost or wrong."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from random import Random

import pytest

from tests.workers.faults.farm import EVERYBODY, Farm, running
from tests.workers.faults.outcome import outcome_of

BROKER = "redis"
_TARGETS = (*EVERYBODY, BROKER)
_SLOWEST_S = 6
"""A package, all its jobs and their repetitions, on a busy machine."""


@pytest.mark.parametrize(
    ("packages", "kills"), [(12, 10), pytest.param(100, 40, marks=pytest.mark.slow, id="500-jobs-40-kills")]
)
def test_chaos(packages: int, kills: int, say: Callable[[str], None]) -> None:
    """Five jobs a package. Who is killed, and when, follows from CHAOS_SEED; the kills are spread over the work.

    A kill waits until its share of the packages is done, so that there is something to be lost at each.
    """
    seed = int(os.environ.get("CHAOS_SEED", "3"))
    random = Random(seed)  # noqa: S311 - repeatable on purpose
    killed: Counter[str] = Counter()
    began = time.monotonic()
    with running(*EVERYBODY) as farm:
        farm.owe(*(f"tool-{number}" for number in range(packages)))
        for number, name in enumerate(victims(random, kills)):
            time.sleep(random.uniform(0.2, 2.0))
            share = 5 * packages * number // (kills + 2)
            farm.wait(lambda share=share: _done(farm) >= share, "no progress", patience_s=300)  # type: ignore[misc] # its own
            killed[_kill(farm, name)] += 1
        farm.wait_for_the_end(patience_s=120 + _SLOWEST_S * packages)
        found = outcome_of(farm)
        seconds = time.monotonic() - began
        say(f"seed {seed}: {killed.total()} kills {dict(sorted(killed.items()))}, {seconds:.0f} s: {found}")
        assert found.is_whole, farm.said()
        assert (found.cases, found.jobs) == (packages, 5 * packages)


def victims(random: Random, kills: int) -> Iterator[str]:
    """Choose who is killed: in each round everybody once, in an order of its own."""
    for number in range(kills):
        if number % len(_TARGETS) == 0:
            round_ = random.sample(_TARGETS, len(_TARGETS))
        yield round_[number % len(_TARGETS)]


def _done(farm: Farm) -> int:
    return dict(farm.jobs.backlog().by_state).get("done", 0)


def _kill(farm: Farm, name: str) -> str:
    """SIGKILL one, and have it come back at once, as a supervisor does."""
    if name == BROKER:
        farm.redis.stop(kill=True)
        farm.redis.start()
    else:
        farm.kill(name)
        farm.start(name)
    return name
