"""The coordinator's copies of blobs that are in a bucket, kept within the budget of a cache while they are read."""

from __future__ import annotations

import time
from collections.abc import Callable

from rebuilder.build.cache import Downloads
from rebuilder.store.blobs import LocalBlobs

EVERY_S = 300.0
"""How long copies are not counted again."""


def shrinking(copies: LocalBlobs, budget_bytes: int, clock: Callable[[], float] = time.monotonic) -> Callable[[], None]:
    """Return what is to be called now and then: what came first goes, until the rest fits the budget.

    A reader who finds that a copy has just gone asks again, and it is fetched from the bucket.
    """
    downloads, due = Downloads(copies.root), clock()

    def shrink() -> None:
        nonlocal due
        if clock() >= due:
            downloads.shrink(budget_bytes)
            due = clock() + EVERY_S

    return shrink
