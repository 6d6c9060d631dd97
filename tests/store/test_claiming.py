"""Who gets which job: urgency, tags, pauses, quotas, quorum, and races, on both databases."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from rebuilder.errors import UsageError
from rebuilder.model.digest import Digest
from rebuilder.model.job import CONTROL_SLOT, JobKind, JobState, Purpose, ResourceClass
from rebuilder.store import farm_tables
from rebuilder.store.claiming import Offer, heads
from rebuilder.store.database import Database
from rebuilder.store.jobs import Jobs, Selection
from tests.store.owing import NOON, OUTPUT, claim, claimed, new, opened, worker


@pytest.fixture
def jobs(database: Database) -> Jobs:
    """Give an empty farm."""
    return Jobs(database)


def say_of_suite(database: Database, **values: Any) -> None:
    """Pause a suite or limit it."""
    with database.write() as connection:
        connection.execute(farm_tables.suites.insert().values(suite="trixie", changed_at=NOON, **values))


def at_once(count: int, act: Callable[[int], None]) -> None:
    """Do something in so many threads that begin together, and let no failure pass."""
    gate, failures = threading.Barrier(count), list[BaseException]()

    def run(number: int) -> None:
        gate.wait()
        try:
            act(number)
        except BaseException as error:  # noqa: BLE001 - told to the test
            failures.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert failures == []


def test_the_most_urgent_job_is_first(jobs: Jobs) -> None:
    """By purpose, then by a person's number, then by age; whatever queue it waits in."""
    jobs.add([new("old", purpose=Purpose.RECHECK), new("late", purpose=Purpose.SECURITY, priority=5)], NOON)
    jobs.add([new("first", purpose=Purpose.SECURITY, suite="sid"), new("second", purpose=Purpose.SECURITY)], NOON)
    order = [claimed(jobs, worker()).job.new.name for _ in range(4)]
    assert order == ["first", "second", "late", "old"]
    assert claim(jobs, worker()) is None


def test_a_claim_counts_attempt_and_fence(jobs: Jobs) -> None:
    """The lease names the job as it is now, and until when it is held."""
    (number,) = jobs.add([new()], NOON)
    lease = claimed(jobs, worker())
    assert (lease.job.id, lease.fence, lease.job.attempts, lease.job.state) == (number, 1, 1, JobState.LEASED)
    assert (lease.expires_at - lease.claimed_at).total_seconds() == 60
    assert jobs.leases_of(number) == (lease,)


def test_a_worker_gets_only_what_it_offers(jobs: Jobs) -> None:
    """Role, tags and resource class must fit; who drains or is revoked gets nothing."""
    jobs.add([new(tags=("arm64",)), new(resources=ResourceClass.LARGE)], NOON)
    assert claim(jobs, worker(resources=(ResourceClass.SMALL,))) is None
    assert claim(jobs, worker(roles=(JobKind.COMPARE,))) is None
    assert claim(jobs, worker(draining=True)) is None
    assert claim(jobs, worker(revoked_at=NOON)) is None
    assert claimed(jobs, worker(tags=("arm64", "tmpfs"))).job.new.tags == ("arm64",)


def test_a_certain_job_can_be_asked_for(jobs: Jobs) -> None:
    """A wake-up names one; it is refused when it is not ready or not for this worker."""
    first, second = jobs.add([new("a"), new("b", tags=("arm64",))], NOON)
    jobs.add([new("urgent", purpose=Purpose.SECURITY)], NOON)
    assert claim(jobs, worker(), job=second) is None
    lease = claim(jobs, worker(), job=first)
    assert lease is not None
    assert lease.job.id == first
    assert claim(jobs, worker(), job=first) is None


def test_a_paused_suite_waits(jobs: Jobs, database: Database) -> None:
    """Nothing of it is claimed, other suites go on."""
    jobs.add([new("a"), new("b", suite="sid")], NOON)
    say_of_suite(database, paused="mirror is down")
    assert claimed(jobs, worker()).job.new.suite == "sid"
    assert claim(jobs, worker()) is None


def test_a_quota_bounds_rebuilds_at_the_same_time(jobs: Jobs, database: Database) -> None:
    """Two at once, and another one when one of them is done; other kinds are not counted."""
    jobs.add([new(str(number)) for number in range(4)] + [new("c", JobKind.COMPARE)], NOON)
    say_of_suite(database, quota=2)
    first, _ = claimed(jobs, worker("one")), claimed(jobs, worker("two"))
    assert claim(jobs, worker("three")) is None
    assert claim(jobs, worker("three"), JobKind.COMPARE) is not None
    jobs.complete(first.job.id, first.fence, first.worker, output=OUTPUT, at=NOON)
    assert claim(jobs, worker("three")) is not None


def test_a_quota_holds_when_many_ask_at_once(jobs: Jobs, database: Database) -> None:
    """Rivals for the last place wait for each other."""
    jobs.add([new(str(number)) for number in range(12)], NOON)
    say_of_suite(database, quota=2)
    at_once(6, lambda number: void(claim(jobs, worker(str(number)))))
    assert len(jobs.find(Selection(state=JobState.LEASED))) == 2


def void(value: object) -> None:
    """Want nothing of it."""
    del value


def test_a_job_is_claimed_once_whoever_asks(jobs: Jobs) -> None:
    """Eight workers and 60 jobs: each job goes to one of them, and nobody leaves while there is work."""
    numbers = jobs.add([new(str(number)) for number in range(60)], NOON)
    taken: list[int] = []

    def work(number: int) -> None:
        while (lease := claim(jobs, worker(str(number)))) is not None:
            taken.append(lease.job.id)
            jobs.complete(lease.job.id, lease.fence, lease.worker, output=OUTPUT, at=NOON)

    at_once(8, work)
    assert Counter(taken) == Counter(numbers)
    assert dict(jobs.backlog().by_state) == {"done": 60}


def test_a_quorum_has_one_share_a_fault_domain(jobs: Jobs, database: Database) -> None:
    """A domain that holds or did one rebuild of a case gets no second one, but the control rebuild and other cases."""
    case, other = opened(database, jobs, "a"), opened(database, jobs, "b")
    shares = [new("a", case=case, slot=slot, quorum=2) for slot in (0, 1)]
    jobs.add([*shares, new("b", case=other, quorum=2, purpose=Purpose.RECHECK)], NOON)
    one, twin = worker("one", fault_domain="rack"), worker("twin", fault_domain="rack")
    first = claimed(jobs, one)
    assert claim(jobs, twin, job=jobs.find(Selection(case=case, state=JobState.READY))[0].id) is None
    assert claimed(jobs, twin).job.new.name == "b"
    jobs.complete(first.job.id, first.fence, first.worker, output=OUTPUT, at=NOON)
    assert claim(jobs, twin) is None
    assert claimed(jobs, worker("elsewhere")).job.new.slot == 1
    jobs.add([new("a", case=case, slot=CONTROL_SLOT, quorum=2, purpose=Purpose.CONTROL)], NOON)
    assert claimed(jobs, twin).job.new.slot == CONTROL_SLOT


def test_a_quorum_holds_when_a_domain_asks_many_times_at_once(jobs: Jobs, database: Database) -> None:
    """Six workers of one domain and six shares of each of three cases: one share a case."""
    for name in "abc":
        case = opened(database, jobs, name, quorum=6)
        jobs.add([new(name, case=case, slot=slot, quorum=6) for slot in range(6)], NOON)
    at_once(6, lambda number: void(claim(jobs, worker(str(number), fault_domain="rack"))))
    held = jobs.find(Selection(state=JobState.LEASED))
    assert sorted(job.new.name for job in held) == ["a", "b", "c"]


def test_each_claim_of_a_rebuild_has_a_run_number_of_its_own(jobs: Jobs) -> None:
    """It is reserved with the claim, and one that was lost is never used again; other kinds have none."""
    plan = Digest.of(b"plan")
    jobs.add([new("a", plan=plan), new("b", plan=plan), new("c", JobKind.COMPARE)], NOON)
    one = worker()
    first, second = claimed(jobs, one), claimed(jobs, one)
    assert (first.ordinal, second.ordinal) == (0, 1)
    assert claimed(jobs, one, JobKind.COMPARE).ordinal is None
    jobs.expire(first.expires_at)
    jobs.retry(Selection(jobs=(first.job.id,)), NOON)
    assert claimed(jobs, one).ordinal == 2
    assert [lease.ordinal for lease in jobs.leases_of(first.job.id)] == [0, 2]
    jobs.retry(Selection(jobs=(second.job.id,)), NOON)


def test_run_numbers_are_reserved_once_whoever_asks(jobs: Jobs) -> None:
    """One builder, many connections: no number twice."""
    plan, ordinals = Digest.of(b"plan"), list[int | None]()
    jobs.add([new(str(number), plan=plan) for number in range(24)], NOON)

    def work(_: int) -> None:
        while (lease := claim(jobs, worker("one"))) is not None:
            ordinals.append(lease.ordinal)

    at_once(6, work)
    assert sorted(ordinal for ordinal in ordinals if ordinal is not None) == list(range(24))


def test_a_tag_is_one_word(jobs: Jobs) -> None:
    """A comma would make two of it."""
    with pytest.raises(UsageError, match="tag 'a,b'"):
        jobs.add([new(tags=("a,b",))], NOON)


def plan_of(connection: sa.Connection, statement: sa.Select[Any]) -> str:
    """Ask the database how it would run a statement."""
    text = str(statement.compile(connection, compile_kwargs={"literal_binds": True}))
    words = "EXPLAIN QUERY PLAN " if connection.dialect.name == "sqlite" else "EXPLAIN "
    return "\n".join(str(row) for row in connection.exec_driver_sql(words + text.replace("%", "%%")))


def queue_up(database: Database, jobs: Jobs) -> None:
    """Queue 40,960 jobs: ten, doubled again and again by the database itself."""
    jobs.add([new(str(number)) for number in range(10)], NOON)
    columns = [column for column in farm_tables.jobs.c if column.name != "id"]
    with database.write() as connection:
        for _ in range(12):
            connection.execute(farm_tables.jobs.insert().from_select(columns, sa.select(*columns)))


def test_a_claim_does_not_look_at_the_length_of_a_queue(jobs: Jobs, database: Database) -> None:
    """With 40,000 jobs queued, each statement of a claim finds its rows by an index, sorts nothing, scans nothing."""
    queue_up(database, jobs)
    statements: list[str] = []

    def note(connection: sa.Connection, clause: Any, _: object, values: dict[str, Any], __: object) -> None:
        if isinstance(clause, sa.Select) and farm_tables.jobs in clause.get_final_froms():
            statements.append(plan_of(connection, clause.params(values)))

    with database.write() as connection:
        if not database.is_file:
            connection.exec_driver_sql("ANALYZE jobs")
    with database.write() as connection:
        sa.event.listen(connection, "before_execute", note)
        assert len(heads(connection, Offer(worker=worker(), kind=JobKind.REBUILD))) == 8
    (only,) = statements
    assert "jobs_head" in only
    assert "TEMP B-TREE" not in only
    assert "Sort" not in only
    assert "Seq Scan on jobs " not in only
    assert claimed(jobs, worker()).job.new.name == "0"
