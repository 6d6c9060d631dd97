"""What a block holds, and for how long, whichever way a job came to be owed, on both databases."""

from __future__ import annotations

from datetime import timedelta

import pytest

from rebuilder.errors import UsageError
from rebuilder.model.cause import Cause
from rebuilder.model.job import JobKind, JobState
from rebuilder.store.blocking import Block
from rebuilder.store.blocks import Blocks
from rebuilder.store.database import Database
from rebuilder.store.jobs import Jobs, Selection
from tests.store.owing import MINUTE, NOON, claim, claimed, new, opened, worker

EVERY = Selection(every=True)
STANDING = (
    Block(pattern="linux-*", reason="too large", unless=("linux-base",)),
    Block(pattern="gcc-*", reason="too slow"),
)


def block(pattern: str, reason: str = "not today") -> Block:
    """Make a block."""
    return Block(pattern=pattern, reason=reason)


def said(jobs: Jobs) -> dict[str, str]:
    """Return what each job's state and message are, by name."""
    return {job.new.name: f"{job.state} {job.message}".strip() for job in jobs.find(EVERY)}


def test_what_one_of_two_blocks_lets_go_the_other_holds(database: Database) -> None:
    """And says so with its own reason; the last one that goes frees."""
    blocks, jobs = Blocks(database), Jobs(database)
    jobs.add([new("cjson"), new("cjq")], NOON)
    assert blocks.block(block("cj*", "all of them"), NOON) == 2
    assert blocks.block(block("cjson", "this one"), NOON) == 0
    assert blocks.unblock("cj*", NOON) == 1
    assert said(jobs) == {"cjson": "held blocked: this one", "cjq": "ready"}
    assert claimed(jobs, worker()).job.new.name == "cjq"
    assert claim(jobs, worker("two")) is None
    assert blocks.unblock("cjson", NOON) == 1
    assert claimed(jobs, worker("two")).job.new.name == "cjson"


def test_a_block_may_get_another_reason(database: Database) -> None:
    """Its jobs say that one, and are free when it goes; what a person held by himself is not."""
    blocks, jobs = Blocks(database), Jobs(database)
    jobs.add([new("one"), new("mine")], NOON)
    jobs.hold(Selection(name="mine"), NOON, reason="by hand")
    blocks.block(block("*", "first"), NOON)
    blocks.block(block("*", "second"), NOON)
    assert said(jobs) == {"one": "held blocked: second", "mine": "held by hand"}
    assert blocks.unblock("*", NOON) == 1
    assert said(jobs) == {"one": "ready", "mine": "held by hand"}
    with pytest.raises(UsageError, match="is a block's"):
        jobs.hold(EVERY, NOON, reason="blocked: by me")


def test_blocks_of_the_settings_hold_what_waits(database: Database) -> None:
    """The first rule that fits a name holds; no retry and no removal of another block frees it, its own end does."""
    jobs, blocks = Jobs(database, standing=STANDING), Blocks(database, STANDING)
    jobs.add([new("linux-6"), new("linux-base"), new("gcc-12")], NOON)
    assert (jobs.settle(NOON).held, jobs.settle(NOON).held) == (2, 0)
    blocks.block(block("*"), NOON)
    assert blocks.unblock("*", NOON) == 1
    assert jobs.retry(EVERY, NOON) == 0
    assert jobs.blocked(EVERY) == 2
    assert said(jobs) == {
        "linux-6": "held blocked: too large",
        "linux-base": "ready",
        "gcc-12": "held blocked: too slow",
    }
    assert Jobs(database, standing=STANDING[:1]).settle(NOON).freed == 1
    assert Jobs(database).settle(NOON).freed == 1


def test_what_comes_to_be_owed_after_a_block_is_not_begun(database: Database) -> None:
    """Rebuilds of a plan that was leased, and a retry that waited: held at the next claim, or sweep; others go on."""
    blocks, jobs = Blocks(database), Jobs(database)
    jobs.add([new("late"), new("other")], NOON)
    failed = claimed(jobs, worker())
    assert failed.job.new.name == "late"
    case = opened(database, jobs, "demo")
    plan = claimed(jobs, worker(), JobKind.PLAN)
    blocks.block(block("demo"), NOON)
    blocks.block(block("late"), NOON)
    cause = Cause.INFRASTRUCTURE
    jobs.fail(failed.job.id, failed.fence, worker().keyid, cause=cause, message="no engine", at=NOON)
    jobs.add([new("demo", case=case, slot=slot, priority=-5) for slot in range(20)], NOON)
    assert jobs.job(plan.job.id).state is JobState.LEASED
    assert jobs.ripen(NOON + timedelta(days=1)) == 1
    assert claimed(jobs, worker("two")).job.new.name == "other"
    assert claim(jobs, worker("two")) is None
    held = jobs.find(Selection(state=JobState.HELD))
    assert [job.message for job in held] == ["blocked: not today"] * 21
    assert jobs.settle(NOON + MINUTE).held == 0


def test_a_certain_job_that_is_blocked_is_not_given(database: Database) -> None:
    """As a wake-up of before the block names it."""
    jobs = Jobs(database)
    (number,) = jobs.add([new("demo")], NOON)
    later = Jobs(database, standing=(block("d?mo"),))
    assert claim(later, worker(), job=number) is None
    assert jobs.job(number).state is JobState.HELD
