"""The reconciler: whatever a broker lost, a worker left or a wait held back is owed again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy.engine import Connection

from rebuilder.config import FarmSettings
from rebuilder.model.job import Job
from rebuilder.store.leadership import Leadership
from workers.coordinator.bureau import Bureau
from workers.lease.desk import Desk

OFFICE = "reconciler"


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """What one sweep did."""

    expired: int
    ripened: int
    woken: int


def lead(leadership: Leadership, holder: str, bureau: Bureau) -> bool:
    """Whether this coordinator is the one that sweeps; the office falls to another one when it stops asking."""
    lease = timedelta(seconds=3 * bureau.settings.farm.sweep_s)
    return leadership.lead(OFFICE, holder, bureau.now(), lease=lease) is not None


def sweep(desk: Desk, farm: FarmSettings, wake: Callable[[Job], None]) -> Swept:
    """Look once at everything that is owed. Doing it twice at once does no harm, only work.

    1. Leases that ran out are taken back: their jobs wait for another attempt, or have failed for good.
    2. Jobs that waited long enough are ready. What a block names is held, and what none names any more let go on.
    3. Workers are woken for ready jobs of which they were never told, or long ago.
    """

    def then(connection: Connection, job: Job) -> None:
        follow = desk.follow.failed(job)
        if follow is not None:
            follow(connection, job)

    now = desk.now()
    expired = desk.jobs.expire(now, then=then)
    ripened = desk.jobs.ripen(now)
    desk.jobs.settle(now)
    owed = desk.jobs.to_wake(now, again_after=timedelta(seconds=farm.wake_again_s))
    for job in owed:
        wake(job)
    return Swept(expired=len(expired), ripened=ripened, woken=len(owed))
