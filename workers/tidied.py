"""A worker's caches, kept within their budgets: whatever is in them is at the coordinator, or can be made again."""

from __future__ import annotations

import time
from collections.abc import Callable

from rebuilder.model.digest import Digest
from rebuilder.stages import tidying
from workers.lease.protocol import Claim
from workers.roles.place import Place, Step

EVERY_S = 300.0
"""How long a worker does not look at caches again: to count a large one takes a while."""


def tidied(step: Step, clock: Callable[[], float] = time.monotonic) -> Step:
    """Have a step keep its caches from being pruned while it runs, and prune them after it, also where it failed.

    Caches that somebody else uses are left alone until the next time: another worker of this machine, or a coordinator.
    """
    due = clock()

    def run(claim: Claim, place: Place) -> Digest:
        nonlocal due
        try:
            with tidying.in_use(place.settings):
                return step(claim, place)
        finally:
            if clock() >= due:
                tidying.tidy(place)
                due = clock() + EVERY_S

    return run
