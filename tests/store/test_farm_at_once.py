"""Everything that touches jobs, at once: nobody waits for each other for ever, and the ledger stays whole."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from random import Random

from rebuilder.errors import LeaseLost
from rebuilder.model.cause import Cause
from rebuilder.model.job import JobState
from rebuilder.store.database import Database
from rebuilder.store.examine import examine
from rebuilder.store.jobs import Jobs, Selection
from tests.store.owing import MINUTE, NOON, OUTPUT, claim, new, opened, worker
from tests.store.test_claiming import at_once

_STEPS = 25


def work(jobs: Jobs, name: str, dice: Random) -> int | None:
    """Claim one job, then report it, have it fail, or forget it; return the number of what is done."""
    lease = claim(jobs, worker(name))
    if lease is None:
        return None
    held, fate = (lease.job.id, lease.fence, lease.worker), dice.random()
    with suppress(LeaseLost):
        if fate < 0.5:
            jobs.heartbeat(*held, NOON, lease=MINUTE)
            return jobs.complete(*held, output=OUTPUT, at=NOON).id
        if fate < 0.8:
            jobs.fail(*held, cause=Cause.INFRASTRUCTURE, message="no luck", at=NOON)
    return None


def sweep(jobs: Jobs, step: int) -> None:
    """Do what the reconciler does, as if time flew."""
    jobs.expire(NOON + step % 3 * MINUTE)
    jobs.ripen(NOON + timedelta(days=1))
    jobs.to_wake(NOON + step * MINUTE, again_after=MINUTE)


def meddle(jobs: Jobs, some: Selection, dice: Random) -> None:
    """Do what a person may do, to some jobs."""
    jobs.cancel(some, NOON, reason="by hand")
    jobs.prioritize(some, dice.randint(-9, 9), NOON)
    jobs.hold(some, NOON, reason="by hand")
    jobs.retry(some, NOON)


def faults(database: Database) -> list[str]:
    """What is wrong, but for jobs without a case, which are enough for what is done to jobs here."""
    return [fault for fault in examine(database).faults if not fault.startswith("job of no case")]


def test_workers_a_reconciler_and_a_person_at_once(database: Database) -> None:
    """Four workers that report, fail or forget, one that sweeps, one that cancels, retries, holds and prioritizes.

    No statement fails, no job is done twice, and when all is retried everything is done.
    """
    jobs = Jobs(database)
    case = opened(database, jobs)
    jobs.cancel(Selection(name="demo"), NOON, reason="only its case is wanted")
    owed = [new(str(number)) for number in range(30)] + [new(case=case, slot=slot, quorum=4) for slot in range(4)]
    numbers, done = jobs.add(owed, NOON), list[int | None]()

    def act(number: int) -> None:
        dice = Random(number)  # noqa: S311 - no secret
        for step in range(_STEPS):
            if number == 4:
                sweep(jobs, step)
            elif number == 5:
                meddle(jobs, Selection(jobs=tuple(dice.sample(numbers, 9))), dice)
            else:
                done.append(work(jobs, str(number), dice))

    at_once(6, act)
    finished = [number for number in done if number is not None]
    assert len(finished) == len(set(finished)) > 0
    assert faults(database) == []
    jobs.expire(NOON + timedelta(days=1))
    jobs.retry(Selection(jobs=numbers), NOON)
    for name in map(str, range(4)):
        while (lease := claim(jobs, worker(name))) is not None:
            jobs.complete(lease.job.id, lease.fence, lease.worker, output=OUTPUT, at=NOON)
    assert {job.state for job in jobs.find(Selection(jobs=numbers))} == {JobState.DONE}
    assert faults(database) == []
