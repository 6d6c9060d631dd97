"""A few transfers at once, in threads that an interruption does not wait for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import TypeVar

Given = TypeVar("Given")
Made = TypeVar("Made")

AT_ONCE = 4


def each(act: Callable[[Given], Made], given: Sequence[Given]) -> tuple[Made, ...]:
    """Return what `act` makes of each, in their order; raise the failure that comes first in time, and start no more.

    The threads are daemons: when a person interrupts, or one transfer fails, nobody waits for the others, which write
    to temporary files only.
    """
    waiting: SimpleQueue[int] = SimpleQueue()
    finished: SimpleQueue[tuple[int, Made | None, BaseException | None]] = SimpleQueue()
    stop = Event()
    for place in range(len(given)):
        waiting.put(place)

    def work() -> None:
        while not stop.is_set():
            try:
                place = waiting.get_nowait()
            except Empty:
                return
            try:
                finished.put((place, act(given[place]), None))
            except BaseException as error:  # noqa: BLE001 - handed to the thread that waits, which raises it
                finished.put((place, None, error))

    for _ in range(min(AT_ONCE, len(given))):
        Thread(target=work, daemon=True).start()
    made: dict[int, Made] = {}
    try:
        for _ in given:
            place, result, error = finished.get()
            if error is not None:
                raise error
            made[place] = result  # type: ignore[assignment]  # None only beside an error
    finally:
        stop.set()
    return tuple(made[place] for place in range(len(given)))
