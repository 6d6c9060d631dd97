"""A few transfers at once."""

from __future__ import annotations

import threading
import time

import pytest

from rebuilder.errors import NetworkFailure
from rebuilder.origins.debian import parallel


def test_results_come_in_the_order_of_what_was_given() -> None:
    """Whoever finishes first."""

    def act(number: int) -> int:
        time.sleep(0.02 * (4 - number % 5))
        return number * 2

    assert parallel.each(act, range(12)) == tuple(range(0, 24, 2))
    assert parallel.each(act, ()) == ()


def test_no_more_than_a_few_run_at_once() -> None:
    """A mirror is not stormed."""
    running, most, lock = 0, 0, threading.Lock()

    def act(_: int) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.01)
        with lock:
            running -= 1

    parallel.each(act, range(20))
    assert most <= parallel.AT_ONCE


def test_a_failure_is_raised_without_waiting_for_the_others() -> None:
    """And nothing new is started."""
    begun = []
    release = threading.Event()

    def act(number: int) -> None:
        begun.append(number)
        if number == 1:
            raise NetworkFailure("down")
        release.wait(5)

    started = time.monotonic()
    with pytest.raises(NetworkFailure, match="down"):
        parallel.each(act, range(50))
    assert time.monotonic() - started < 2
    release.set()
    time.sleep(0.05)
    assert len(begun) <= parallel.AT_ONCE + 1
