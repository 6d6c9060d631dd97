"""What a sync finds and owes, and why: every purpose, what changed and what is gone, on both databases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from rebuilder.model.catalogue import Catalogue, Offer, OfferedFile
from rebuilder.model.digest import Digest
from rebuilder.model.job import JobKind, JobState, Purpose
from rebuilder.model.verdict import Verdict
from rebuilder.store import tables
from rebuilder.store.blocking import Block
from rebuilder.store.blocks import Blocks
from rebuilder.store.conclusions import EventKind
from rebuilder.store.database import Database
from rebuilder.store.due import Ages, Order
from rebuilder.store.jobs import Jobs
from rebuilder.store.ledger import Ledger
from rebuilder.store.schedule import Import, Schedule, Synced
from rebuilder.store.selection import Selection
from tests.store.conftest import dossier, release
from tests.store.owing import OUTPUT, claim, new, worker

DAY = timedelta(days=1)
START = datetime(2026, 11, 1, 12, tzinfo=UTC)
AGES = Ages(recheck=100 * DAY, regression=DAY)


def offer(
    name: str = "demo", version: str = "1.0-1", *, content: bytes = b"x", architecture: str = "amd64", files: int = 1
) -> Offer:
    """Make what a suite offers of one release."""
    return Offer(
        name=name,
        version=version,
        architecture=architecture,
        target=release(name, version).target,
        files=tuple(
            OfferedFile(
                filename=f"{name}{number or ''}_{version}_{architecture}.deb",
                digest=Digest.of(content + str(number).encode()),
                size_bytes=1000,
            )
            for number in range(files)
        ),
    )


def catalogue(*offers: Offer, suite: str = "trixie", architectures: tuple[str, ...] = ("amd64", "all")) -> Catalogue:
    """Make a suite of these offers."""
    listing = "".join(f"{each.target} {each.architecture} {each.digest}\n" for each in offers)
    return Catalogue(
        ecosystem="deb",
        distribution="debian",
        suite=suite,
        is_security=suite.endswith("-security"),
        architectures=architectures,
        index=Digest.of(listing.encode()),
        archive="debian",
        date=START,
        document=Digest.of(b"InRelease"),
        read=lambda: iter(offers),
    )


def order(limit: int | None = None, quorum: int = 1, blocked: tuple[str, ...] = ()) -> Order:
    """Ask for everything that is due of these suites."""
    suites = dict.fromkeys(("trixie", "trixie-security"), AGES)
    return Order(
        suites=suites,
        architectures=("amd64", "all"),
        quorum=quorum,
        limit=limit,
        blocked=tuple(Block(pattern=each, reason="") for each in blocked),
    )


def sync(database: Database, *catalogues: Catalogue, at: datetime = START, wanted: Order | None = None) -> Synced:
    """Import suites as the verb does."""
    schedule = Schedule(database)
    imports = [
        Import(catalogue=each, offers=None if schedule.is_current(each) else tuple(each.read())) for each in catalogues
    ]
    return schedule.sync(imports, wanted or order(), at)


def owed(database: Database) -> list[tuple[str, str]]:
    """List names and purposes of what is ready, in the order of work."""
    found = Jobs(database).find(Selection(state=JobState.READY))
    return [(job.new.name, job.new.purpose) for job in found]


def finish(database: Database, at: datetime) -> None:
    """Do every plan that is ready."""
    jobs = Jobs(database)
    while lease := claim(jobs, worker(), JobKind.PLAN, at=at):
        jobs.complete(lease.job.id, lease.fence, worker().keyid, output=OUTPUT, at=at)


def conclude(database: Database, *verdicts: Verdict, name: str = "demo", version: str = "1.0-1") -> None:
    """Record verdicts about a release, a day apart, from the start on."""
    for days, verdict in enumerate(verdicts):
        Ledger(database).record_comparison(dossier(verdict, name=name, version=version, days=days), f"{name}/{days}")


def test_a_first_import_owes_what_was_never_built(database: Database) -> None:
    """One plan a release, whatever its architectures; the suite's quorum; and each was counted."""
    suite = catalogue(offer(), offer(architecture="all"), offer("other"))
    found = sync(database, suite, wanted=order(quorum=2))
    assert owed(database) == [("demo", Purpose.NEVER_BUILT), ("other", Purpose.NEVER_BUILT)]
    assert (found.added, found.by_purpose) == (2, (("never-built", 2),))
    (change,) = found.changes
    assert (change.offered, change.new, change.changed, change.removed, change.is_current) == (3, 3, 0, 0, False)
    (job, _) = Jobs(database).find(Selection(every=True))
    assert (job.new.kind, job.new.quorum, job.new.target) == (JobKind.PLAN, 2, release().target)
    assert claim(Jobs(database), worker(), JobKind.PLAN) is not None


def test_nothing_changed_adds_nothing(database: Database) -> None:
    """The index is known by its digest: its offers are not even read."""
    suite = catalogue(offer())
    sync(database, suite)
    again = sync(database, suite, at=START + DAY)
    assert again.added == 0
    assert [(each.is_current, each.offered) for each in again.changes] == [(True, 1)]


def test_the_order_of_work(database: Database) -> None:
    """Security, new uploads, never built, regressions, re-checks: whatever the order in which they came."""
    conclude(database, Verdict.REPRODUCED, name="aged")
    conclude(database, Verdict.REPRODUCED, Verdict.DIFFERENT, name="worse")
    first = catalogue(offer("aged"), offer("worse"), offer("never"))
    sync(database, first, wanted=order(blocked=("never",)))
    later = START + 200 * DAY
    with_new = catalogue(offer("aged"), offer("worse"), offer("never"), offer("fresh"))
    sync(database, with_new, catalogue(offer("urgent"), suite="trixie-security"), at=later)
    assert owed(database) == [
        ("urgent", Purpose.SECURITY),
        ("fresh", Purpose.NEW),
        ("never", Purpose.NEVER_BUILT),
        ("worse", Purpose.REGRESSION),
        ("aged", Purpose.RECHECK),
    ]


def test_a_limit_takes_the_most_urgent(database: Database) -> None:
    """Across suites."""
    found = sync(
        database,
        catalogue(offer("a"), offer("b")),
        catalogue(offer("z"), suite="trixie-security"),
        wanted=order(limit=2),
    )
    assert found.added == 2
    assert owed(database) == [("z", Purpose.SECURITY), ("a", Purpose.NEVER_BUILT)]


def test_what_was_concluded_is_looked_at_again_by_its_age(database: Database) -> None:
    """Not before; and the oldest first."""
    conclude(database, Verdict.REPRODUCED, name="young", version="1")
    conclude(database, Verdict.DIFFERENT, name="old", version="1")
    suite = catalogue(offer("young", "1"), offer("old", "1"))
    assert sync(database, suite, at=START + 99 * DAY).added == 0
    sync(database, suite, at=START + 101 * DAY)
    assert sorted(owed(database)) == [("old", Purpose.RECHECK), ("young", Purpose.RECHECK)]


def test_a_regression_is_confirmed_once(database: Database) -> None:
    """Was reproduced, now is not: looked at again after a day; once confirmed, it is only re-checked by age."""
    conclude(database, Verdict.REPRODUCED, Verdict.DIFFERENT)
    suite = catalogue(offer())
    assert sync(database, suite, at=START + DAY + timedelta(hours=1)).added == 0
    sync(database, suite, at=START + 3 * DAY)
    assert owed(database) == [("demo", Purpose.REGRESSION)]
    finish(database, START + 3 * DAY)
    conclude(database, Verdict.REPRODUCED, Verdict.DIFFERENT, Verdict.DIFFERENT)
    assert sync(database, suite, at=START + 9 * DAY).added == 0


@pytest.mark.parametrize(("other", "is_worse"), [("trixie-security", True), ("bookworm", False)])
def test_a_regression_is_within_a_suite_and_its_updates(database: Database, other: str, is_worse: bool) -> None:  # noqa: FBT001
    """As the ledger itself tells them: another suite's version has another past."""
    conclude(database, Verdict.REPRODUCED)
    made = dossier(Verdict.DIFFERENT, version="1.0-2", days=1)
    made = replace(made, release=replace(made.release, suite=other))
    Ledger(database).record_comparison(made, "demo/other")
    assert bool(Ledger(database).regressions()) == is_worse
    wanted = replace(order(), suites=dict.fromkeys(("trixie", other), AGES))
    sync(database, catalogue(offer(version="1.0-2"), suite=other), at=START + 3 * DAY, wanted=wanted)
    assert owed(database) == ([("demo", Purpose.REGRESSION)] if is_worse else [])


def test_what_was_tried_is_left_alone(database: Database) -> None:
    """A plan that ended counts as a try, whatever came of it; one that is owed is not owed twice."""
    suite = catalogue(offer())
    sync(database, suite)
    assert sync(database, suite, at=START + DAY).added == 0
    finish(database, START + DAY)
    assert sync(database, suite, at=START + 2 * DAY).added == 0
    assert sync(database, suite, at=START + 200 * DAY).by_purpose == (("recheck", 1),)


def test_a_withdrawn_result_does_not_count(database: Database) -> None:
    """It says nothing about the release any more."""
    conclude(database, Verdict.REPRODUCED)
    comparison = sa.select(tables.comparisons.c.id).scalar_subquery()
    values = {"reason": "wrong", "key": "key", "digest": Digest.of(b"withdrawal"), "withdrawn_at": START}
    with database.write() as connection:
        connection.execute(tables.withdrawals.insert().values(comparison=comparison, **values))
    assert sync(database, catalogue(offer()), at=START + DAY).by_purpose == (("never-built", 1),)


def test_bytes_that_change_under_one_name_are_an_event(database: Database) -> None:
    """And the release is built again, as new; the event is told once."""
    sync(database, catalogue(offer(content=b"before")))
    finish(database, START)
    found = sync(database, catalogue(offer(content=b"after")), at=START + DAY)
    (change,) = found.changes
    (event,) = change.events
    assert (change.changed, event.kind, event.subject) == (1, EventKind.ARTIFACT_CHANGED, "demo_1.0-1_amd64.deb")
    assert event.detail.startswith(f"expected {Digest.of(b'before0')} as it was published before")
    assert Ledger(database).events() == (event,)
    assert owed(database) == [("demo", Purpose.NEW)]
    assert sync(database, catalogue(offer(content=b"after")), at=START + 2 * DAY).changes[0].events == ()


def test_a_file_that_comes_later_makes_the_release_new(database: Database) -> None:
    """No event: nothing changed under its name."""
    sync(database, catalogue(offer()))
    finish(database, START)
    found = sync(database, catalogue(offer(files=2)), at=START + DAY)
    assert (found.changes[0].changed, found.changes[0].events) == (1, ())
    assert owed(database) == [("demo", Purpose.NEW)]


def test_what_is_gone_is_owed_no_more(database: Database) -> None:
    """Plans that nobody began are cancelled, unless a person asked; what comes back is owed again."""
    sync(database, catalogue(offer(), offer("kept"), offer("mine")))
    jobs = Jobs(database)
    jobs.cancel(Selection(name="mine"), START, reason="for the test")
    jobs.add((new("mine", JobKind.PLAN, target=release("mine").target),), START)
    found = sync(database, catalogue(offer("kept")), at=START + DAY)
    (change,) = found.changes
    assert (change.offered, change.removed, change.cancelled) == (1, 2, 1)
    assert sorted(owed(database)) == [("kept", Purpose.NEVER_BUILT), ("mine", Purpose.BY_HAND)]
    (gone,) = jobs.find(Selection(name="demo"))
    assert (gone.state, gone.message) == (JobState.CANCELLED, "trixie does not offer it any more")
    back = sync(database, catalogue(offer(), offer("kept")), at=START + 200 * DAY)
    assert back.changes[0].offered == 2
    assert ("demo", Purpose.RECHECK) in owed(database)


def test_architectures_are_imported_apart(database: Database) -> None:
    """What the second import of a suite adds is not new, for its architecture was never looked at before."""
    first = catalogue(offer("one"), architectures=("amd64",))
    sync(database, first)
    both = catalogue(offer("one"), offer("two", architecture="all"))
    assert not Schedule(database).is_current(both)
    sync(database, both, at=START + DAY)
    assert owed(database) == [("one", Purpose.NEVER_BUILT), ("two", Purpose.NEVER_BUILT)]


def test_what_is_blocked_is_not_owed(database: Database) -> None:
    """By the ledger's list or the settings'; `*` and `?` stand for others, and nothing else does."""
    blocks = Blocks(database)
    assert blocks.block(Block(pattern="linux-*", reason="too large"), START) == 0
    names = ("linux-6", "linux", "a_b", "axb", "gcc-1", "gcc-12")
    sync(database, catalogue(*map(offer, names)), wanted=order(blocked=("gcc-?", "a_b")))
    assert [name for name, _ in owed(database)] == ["axb", "gcc-12", "linux"]
    assert blocks.block(Block(pattern="gcc-*", reason="not today"), START) == 1
    assert [(job.new.name, job.message) for job in Jobs(database).find(Selection(state=JobState.HELD))] == [
        ("gcc-12", "blocked: not today")
    ]
    assert blocks.unblock("gcc-*", START) == 1
    assert [each.pattern for each in blocks.blocks()] == ["linux-*"]


def test_no_retry_undoes_a_block(database: Database) -> None:
    """What is blocked stays held or cancelled, whichever jobs are owed again; what stands beside it is."""
    blocks, jobs, every = Blocks(database), Jobs(database), Selection(every=True)
    sync(database, catalogue(offer("gcc-12"), offer("gcc-13"), offer("linux")))
    jobs.cancel(Selection(name="gcc-13"), START, reason="by hand")
    blocks.block(Block(pattern="gcc-*", reason="not today"), START)
    jobs.hold(Selection(name="linux"), START, reason="by hand")
    assert jobs.blocked(every) == 2
    assert jobs.retry(Selection(state=JobState.HELD), START) == 1
    assert jobs.retry(every, START) == 0
    states = {job.new.name: job.state for job in jobs.find(every)}
    assert states == {"gcc-12": JobState.HELD, "gcc-13": JobState.CANCELLED, "linux": JobState.READY}
    assert blocks.unblock("gcc-*", START) == 1
    assert (jobs.blocked(every), blocks.cancelled("gcc-*")) == (0, 1)
    assert jobs.retry(every, START) == 1


def test_a_trial_leaves_no_trace_and_estimates(database: Database) -> None:
    """Jobs, rebuilds, disk; hours only where runs were recorded, averages for what was never run."""
    schedule = Schedule(database)
    offers: Sequence[Offer] = (offer(), offer("other"), offer("other", architecture="all"))
    given = [Import(catalogue=catalogue(*offers), offers=offers)]
    cost = schedule.trial(given, order(quorum=2), START).estimate
    assert cost is not None
    assert (cost.jobs, cost.rebuilds, cost.builder_hours, cost.disk_bytes) == (2, 6, None, 9000)
    assert (owed(database), schedule.is_current(given[0].catalogue)) == ([], False)
    conclude(database, Verdict.REPRODUCED)
    made = dossier(Verdict.REPRODUCED)
    assert made.rebuild is not None
    Ledger(database).record_rebuild(made.rebuild)
    cost = schedule.trial(given, order(quorum=2), START + 200 * DAY).estimate
    assert cost is not None
    assert (cost.builder_hours, cost.known, cost.by_purpose) == (0.1, 1, (("never-built", 1), ("recheck", 1)))


def test_a_paused_suite_gives_no_work(database: Database) -> None:
    """Its jobs are owed nevertheless; a resumed one goes on."""
    sync(database, catalogue(offer()))
    blocks, jobs = Blocks(database), Jobs(database)
    blocks.pause("trixie", "the archive is being moved", START)
    blocks.limit("trixie", 3, START)
    assert claim(jobs, worker(), JobKind.PLAN) is None
    assert [(each.paused, each.quota) for each in blocks.suites()] == [("the archive is being moved", 3)]
    blocks.pause("trixie", None, START)
    assert claim(jobs, worker(), JobKind.PLAN) is not None


@pytest.mark.parametrize("count", [1, 12_000])
def test_many_files_are_noted_at_once(database: Database, count: int) -> None:
    """More than one statement takes: every one is there, and one that changed is found among them."""
    names = [f"p{number}" for number in range(count)]
    sync(database, catalogue(*map(offer, names)))
    changed = [offer(name, content=b"other" if name == "p0" else b"x") for name in names]
    found = sync(database, catalogue(*changed), at=START + DAY)
    assert [event.subject for event in found.changes[0].events] == ["p0_1.0-1_amd64.deb"]
    assert found.changes[0].offered == count
