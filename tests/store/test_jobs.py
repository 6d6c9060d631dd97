"""Reports, heartbeats, expiry and retries: whoever holds the lease is heard, and nobody else, on both databases."""

from __future__ import annotations

from datetime import timedelta
from random import Random

import pytest
import sqlalchemy as sa

from rebuilder.errors import HostileInput, LeaseLost, UsageError
from rebuilder.model.cause import Cause
from rebuilder.model.digest import Digest
from rebuilder.model.job import CaseState, Job, JobKind, JobState, Purpose
from rebuilder.store.blocks import Blocks
from rebuilder.store.cases import Cases, close_case
from rebuilder.store.database import Database
from rebuilder.store.examine import examine
from rebuilder.store.jobs import Jobs, Selection, add_jobs
from tests.store.owing import MINUTE, NOON, OUTPUT, claim, claimed, new, opened, worker

ONE, TWO = worker("one"), worker("two")


@pytest.fixture
def jobs(database: Database) -> Jobs:
    """Give an empty farm whose jitter is known."""
    return Jobs(database, random=Random(1))  # noqa: S311 - no secret


def test_owing_twice_owes_once(jobs: Jobs, database: Database) -> None:
    """By case, kind and slot; and one plan of a target at a time."""
    case = opened(database, jobs)
    wanted = [new(case=case, slot=slot) for slot in (0, 1)]
    assert len(jobs.add(wanted, NOON)) == 2
    (third,) = jobs.add([*wanted, new(case=case, slot=2)], NOON)
    assert jobs.job(third).new.slot == 2
    assert jobs.add([new("demo", JobKind.PLAN)], NOON) == ()
    assert jobs.add([], NOON) == ()


def test_an_unknown_job_is_the_askers_mistake(jobs: Jobs) -> None:
    """Asked for, or reported."""
    with pytest.raises(UsageError, match="no job 7"):
        jobs.job(7)
    with pytest.raises(UsageError, match="no job 7"):
        jobs.complete(7, 1, ONE.keyid, output=OUTPUT, at=NOON)


def test_a_result_is_taken_once(jobs: Jobs) -> None:
    """The same report again is an answer that got lost; another result under the same fence is refused."""
    jobs.add([new()], NOON)
    lease = claimed(jobs, ONE)
    for _ in range(2):
        done = jobs.complete(lease.job.id, lease.fence, ONE.keyid, output=OUTPUT, at=NOON)
        assert (done.state, done.output) == (JobState.DONE, OUTPUT)
    with pytest.raises(LeaseLost, match=r"expected a report under fence 1 \(done\), found one under 1"):
        jobs.complete(lease.job.id, lease.fence, ONE.keyid, output=Digest.of(b"other"), at=NOON)


def test_what_follows_happens_with_the_result_or_not_at_all(jobs: Jobs) -> None:
    """The next jobs are in the same transaction; what cannot follow takes the result back."""
    jobs.add([new()], NOON)
    lease = claimed(jobs, ONE)

    def spoil(connection: sa.Connection, job: Job) -> None:
        add_jobs(connection, [new("next", JobKind.COMPARE)], NOON)
        raise HostileInput(f"nothing follows job {job.id}")

    with pytest.raises(HostileInput):
        jobs.complete(lease.job.id, lease.fence, ONE.keyid, output=OUTPUT, at=NOON, then=spoil)
    assert dict(jobs.backlog().by_state) == {"leased": 1}

    def follow(connection: sa.Connection, job: Job) -> None:
        assert job.state is JobState.DONE
        add_jobs(connection, [new("next", JobKind.COMPARE)], NOON)

    for _ in range(2):
        jobs.complete(lease.job.id, lease.fence, ONE.keyid, output=OUTPUT, at=NOON, then=follow)
    assert dict(jobs.backlog().by_state) == {"done": 1, "ready": 1}


def test_an_expired_lease_is_taken_back_and_its_report_refused(jobs: Jobs) -> None:
    """The job waits for its next attempt, another worker gets it, and the first one's word does not count any more."""
    (number,) = jobs.add([new()], NOON)
    first = claimed(jobs, ONE)
    assert jobs.expire(NOON + timedelta(seconds=59)) == ()
    (lost,) = jobs.expire(NOON + MINUTE)
    assert (lost.state, lost.cause) == (JobState.WAITING, Cause.INFRASTRUCTURE)
    assert "expired" in lost.message
    assert jobs.expire(NOON + MINUTE) == ()
    later = NOON + 2 * MINUTE
    assert jobs.ripen(later) == 1
    second = claimed(jobs, TWO, at=later)
    assert (second.job.id, second.fence, second.job.attempts) == (number, 2, 2)
    for fence, who in ((1, ONE), (2, ONE), (1, TWO)):
        with pytest.raises(LeaseLost):
            jobs.complete(number, fence, who.keyid, output=OUTPUT, at=later)
        with pytest.raises(LeaseLost):
            jobs.fail(number, fence, who.keyid, cause=Cause.INFRASTRUCTURE, message="late", at=later)
        with pytest.raises(LeaseLost):
            jobs.heartbeat(number, fence, who.keyid, later, lease=MINUTE)
    assert first.fence < second.fence
    assert jobs.complete(number, 2, TWO.keyid, output=OUTPUT, at=later).state is JobState.DONE


def test_a_heartbeat_renews(jobs: Jobs) -> None:
    """What is renewed does not expire when it would have."""
    (number,) = jobs.add([new()], NOON)
    claimed(jobs, ONE)
    half = NOON + MINUTE / 2
    assert jobs.heartbeat(number, 1, ONE.keyid, half, lease=MINUTE) is False
    assert jobs.expire(NOON + MINUTE) == ()
    assert len(jobs.expire(half + MINUTE)) == 1


@pytest.mark.parametrize(
    ("cause", "attempts", "first_s"),
    [
        (Cause.INFRASTRUCTURE, 8, 10),
        (Cause.ENVIRONMENT_UNAVAILABLE, 8, 10),
        (Cause.BUILD_FAILED, 2, 3600),
        (Cause.UNTRUSTED_INPUT, 1, None),
        (Cause.STALE_INPUT, 1, None),
    ],
)
def test_the_cause_says_whether_and_when_it_is_tried_again(
    jobs: Jobs, cause: Cause, attempts: int, first_s: int | None
) -> None:
    """Infrastructure soon and often, builds late and few, what was not trusted never; longer each time, with jitter."""
    (number,) = jobs.add([new()], NOON)
    at, waits, ended = NOON, list[float](), list[Job]()
    while (lease := claim(jobs, ONE, at=at)) is not None:
        job = jobs.fail(
            number,
            lease.fence,
            ONE.keyid,
            cause=cause,
            message="no luck",
            at=at,
            then=lambda _, failed: ended.append(failed),
        )
        if job.not_before is not None:
            waits.append((job.not_before - at).total_seconds())
            assert jobs.ripen(job.not_before - timedelta(seconds=1)) == 0
            at = job.not_before
            assert jobs.ripen(at) == 1
    last = jobs.job(number)
    assert (last.state, last.attempts, last.cause, last.message) == (JobState.FAILED, attempts, cause, "no luck")
    assert [job.id for job in ended] == [number], "what follows a failure for good, once"
    for place, wait in enumerate(waits):
        assert first_s is not None
        assert first_s * 2**place <= wait <= first_s * 2**place * 1.25 + 1


@pytest.mark.parametrize("kind", [JobKind.SIGN, JobKind.PUBLISH])
def test_signing_and_publishing_wait_for_the_operator(jobs: Jobs, kind: JobKind) -> None:
    """A full disk or a lost key abandons no case, however long it takes; a refusal still ends it at once."""
    (number,) = jobs.add([new(kind=kind)], NOON)
    holder, at, waits = worker("one", roles=(kind,)), NOON, list[float]()
    for _ in range(1200):
        lease = claim(jobs, holder, kind, at=at)
        assert lease is not None
        failed = jobs.fail(
            number, lease.fence, holder.keyid, cause=Cause.INFRASTRUCTURE, message="the disk is full", at=at
        )
        assert failed.not_before is not None
        waits.append((failed.not_before - at).total_seconds())
        at = failed.not_before
        jobs.ripen(at)
    assert waits[0] < 13
    assert 600 <= min(waits[10:]) <= max(waits[10:]) <= 751
    lease = claim(jobs, holder, kind, at=at)
    assert lease is not None
    refused = jobs.fail(
        number, lease.fence, holder.keyid, cause=Cause.UNTRUSTED_INPUT, message="a wrong signature", at=at
    )
    assert refused.state is JobState.FAILED


def test_the_same_failure_again_changes_nothing(jobs: Jobs) -> None:
    """An answer that got lost; another failure under the same fence is refused."""
    (number,) = jobs.add([new()], NOON)
    claimed(jobs, ONE)
    for _ in range(2):
        job = jobs.fail(number, 1, ONE.keyid, cause=Cause.INFRASTRUCTURE, message="m" * 2000, at=NOON)
        assert (job.state, len(job.message)) == (JobState.WAITING, 1000)
    with pytest.raises(LeaseLost):
        jobs.fail(number, 1, ONE.keyid, cause=Cause.BUILD_FAILED, message="m" * 2000, at=NOON)


def test_workers_are_woken_again_only_after_a_while(jobs: Jobs) -> None:
    """Most urgent first, each once until it is long ago; what is held by a worker is no reason to wake."""
    late = Purpose.RECHECK
    jobs.add([new("a", purpose=late), new("b", purpose=Purpose.SECURITY), new("c", purpose=late)], NOON)
    assert [job.new.name for job in jobs.to_wake(NOON, again_after=MINUTE, most=2)] == ["b", "a"]
    claimed(jobs, ONE)
    assert [job.new.name for job in jobs.to_wake(NOON + MINUTE, again_after=MINUTE)] == ["c"]
    assert [job.new.name for job in jobs.to_wake(NOON + 2 * MINUTE, again_after=MINUTE)] == ["a"]


def test_a_backlog_keeps_no_other_queue_asleep(jobs: Jobs, database: Database) -> None:
    """However long one role's queue is: another's head is told of at once, and nobody is told of more than a head."""
    jobs.add([new(f"plan-{number}", JobKind.PLAN, purpose=Purpose.SECURITY) for number in range(300)], NOON)
    (signature,) = jobs.add([new("signature", JobKind.SIGN, purpose=Purpose.RECHECK)], NOON)
    told = jobs.to_wake(NOON, again_after=MINUTE, most=5)
    assert [job.new.name for job in told] == [*(f"plan-{number}" for number in range(5)), "signature"]
    assert told[-1].id == signature
    assert jobs.to_wake(NOON + MINUTE / 2, again_after=MINUTE, most=5) == ()
    assert len(jobs.to_wake(NOON + 2 * MINUTE, again_after=MINUTE, most=5)) == 6
    Blocks(database).pause("trixie", "the archive moves", NOON)
    assert jobs.to_wake(NOON + 4 * MINUTE, again_after=MINUTE) == ()


def test_the_backlog_counts(jobs: Jobs) -> None:
    """By state and kind, with the oldest of what waits and of what is held."""
    jobs.add([new("a"), new("b")], NOON)
    jobs.add([new("c", JobKind.COMPARE)], NOON + MINUTE)
    claimed(jobs, ONE)
    backlog = jobs.backlog()
    assert backlog.by_state == (("leased", 1), ("ready", 2))
    assert backlog.ready_by_kind == (("compare", 1), ("rebuild", 1))
    assert (backlog.oldest_ready, backlog.oldest_lease) == (NOON, NOON)


def test_nothing_selected_is_not_everything() -> None:
    """Who means all says so."""
    with pytest.raises(UsageError, match="Nothing was selected"):
        Selection()


def test_what_is_held_is_not_claimed_until_retried(jobs: Jobs) -> None:
    """With the reason a person gave."""
    (number, _) = jobs.add([new("a"), new("b")], NOON)
    assert jobs.hold(Selection(name="a"), NOON, reason="eats all memory") == 1
    assert jobs.job(number).message == "eats all memory"
    assert claimed(jobs, ONE).job.new.name == "b"
    assert claim(jobs, ONE) is None
    assert jobs.retry(Selection(state=JobState.HELD), NOON) == 1
    assert claimed(jobs, ONE).job.id == number


def test_priorities_by_hand(jobs: Jobs) -> None:
    """A person's number replaces the one before, within the purpose's band; beyond the bounds it is refused."""
    jobs.add([new("a"), new("b", priority=3)], NOON)
    assert jobs.prioritize(Selection(name="b"), -7, NOON) == 1
    assert [job.new.name for job in jobs.find(Selection(suite="trixie"))] == ["b", "a"]
    assert jobs.prioritize(Selection(name="b"), 7, NOON) == 1
    assert [job.new.name for job in jobs.find(Selection(every=True))] == ["a", "b"]
    with pytest.raises(UsageError, match="between -1000"):
        jobs.prioritize(Selection(every=True), 1001, NOON)


def test_cancelling_ends_or_asks_to_stop(jobs: Jobs, database: Database) -> None:
    """What is leased stops at the next heartbeat; a case of which nothing is owed is abandoned, until retried."""
    case, cases = opened(database, jobs), Cases(database)
    jobs.add([new(case=case, slot=slot) for slot in (0, 1)], NOON)
    lease = claimed(jobs, ONE)
    assert jobs.cancel(Selection(case=case), NOON, reason="withdrawn") == 2
    assert cases.case(case).state is CaseState.OPEN
    assert jobs.heartbeat(lease.job.id, 1, ONE.keyid, NOON, lease=MINUTE) is True
    stopped = jobs.fail(lease.job.id, 1, ONE.keyid, cause=Cause.INFRASTRUCTURE, message="stopped", at=NOON)
    assert (stopped.state, stopped.not_before) == (JobState.CANCELLED, None)
    assert cases.case(case).state is CaseState.ABANDONED
    assert jobs.retry(Selection(case=case), NOON) == 2
    assert cases.case(case).state is CaseState.OPEN
    assert jobs.heartbeat(claimed(jobs, ONE).job.id, 2, ONE.keyid, NOON, lease=MINUTE) is False


def test_retrying_never_owes_two_plans_of_a_target(jobs: Jobs) -> None:
    """Of several that ended the newest is owed again, and none while another is owed."""
    for _ in range(2):
        jobs.add([new("a", JobKind.PLAN)], NOON)
        jobs.cancel(Selection(name="a"), NOON, reason="no")
    assert jobs.retry(Selection(name="a"), NOON) == 1
    assert jobs.retry(Selection(name="a"), NOON) == 0
    assert [job.state for job in jobs.find(Selection(name="a"))] == [JobState.CANCELLED, JobState.READY]


@pytest.mark.parametrize("ends", ["decided", "closed"])
def test_what_cannot_count_any_more_is_not_retried(ends: str, jobs: Jobs, database: Database) -> None:
    """A rebuild of a case whose answer is decided stays as it is, and is counted; the signature is owed again."""
    case = opened(database, jobs)
    rebuild, signature = jobs.add([new(case=case), new(case=case, kind=JobKind.SIGN)], NOON)
    jobs.cancel(Selection(case=case), NOON, reason="failed")
    if ends == "closed":
        with database.write() as connection:
            close_case(connection, case, NOON, directory="deb/demo")
    of_case = Selection(case=case)
    assert jobs.settled(of_case) == (1 if ends == "decided" else 2)
    assert jobs.retry(of_case, NOON) == (1 if ends == "decided" else 0)
    assert jobs.job(rebuild).state is JobState.CANCELLED
    assert jobs.job(signature).state is (JobState.READY if ends == "decided" else JobState.CANCELLED)
    assert not [fault for fault in examine(database).faults if "while something is owed" in fault]
