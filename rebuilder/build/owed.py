"""What an engine would not remove when its time came, since it was gone just then: it goes before anything new is made.

`rebuilder.build.sweep` cannot do that: it leaves alone what a living process owns, and a builder outlives its engine.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from rebuilder.build.container import Leftover
from rebuilder.errors import EngineFailure

Remove = Callable[[Leftover], None]
"""Removes a thing, or finds that it is gone; raises EngineFailure when the engine does not do it."""


class Owed:
    """The things of one process that are still to be removed. Safe to use from several threads."""

    def __init__(self) -> None:
        self._things: dict[str, Leftover] = {}
        self._lock = threading.Lock()

    def attempt(self, thing: Leftover, remove: Remove) -> None:
        """Remove a thing; where the engine does not, it is owed, and the EngineFailure goes on."""
        try:
            remove(thing)
        except EngineFailure:
            with self._lock:
                self._things[thing.name] = thing
            raise

    def settle(self, remove: Remove) -> None:
        """Remove what is owed; what still cannot be removed stays so."""
        with self._lock:
            things, self._things = self._things, {}
        for thing in things.values():
            try:
                self.attempt(thing, remove)
            except EngineFailure:
                continue
