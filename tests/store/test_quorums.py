"""A quorum of more fault domains than have a builder: what waits for it is named, and what can be reached is not."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from rebuilder.model.job import JobKind, JobState, ResourceClass, Worker
from rebuilder.store.claiming import Offer
from rebuilder.store.database import Database
from rebuilder.store.jobs import Jobs
from rebuilder.store.quorums import Domains, Wanted, count_domains, find_unreachable
from tests.store.owing import MINUTE, NOON, new, opened, worker

AMD64 = Wanted(quorum=3, resources=ResourceClass.SMALL, tags=("amd64",))


def seen(name: str, **given: Any) -> Worker:
    """Make a worker that was heard of at noon."""
    return worker(name, **({"seen_at": NOON} | given))


def owe(database: Database, quorum: int, **given: Any) -> int:
    """Owe the rebuilds of one case; return the number of the case."""
    jobs = Jobs(database)
    case = opened(database, jobs, str(given.get("name", "demo")), quorum)
    jobs.add([new(case=case, slot=slot, quorum=quorum, **given) for slot in range(quorum)], NOON)
    return case


@pytest.mark.parametrize(
    ("given", "live", "enrolled"),
    [
        ({}, 1, 1),
        ({"seen_at": NOON - timedelta(minutes=11)}, 0, 1),
        ({"seen_at": None}, 0, 1),
        ({"draining": True}, 1, 1),
        ({"revoked_at": NOON}, 0, 0),
        ({"roles": (JobKind.COMPARE,)}, 0, 0),
        ({"tags": ("arm64",)}, 0, 0),
        ({"resources": (ResourceClass.LARGE,)}, 0, 0),
    ],
    ids=["lately", "silent", "never", "draining", "revoked", "comparer", "another-machine", "another-class"],
)
def test_a_fault_domain_counts_by_its_builders(given: dict[str, object], live: int, enrolled: int) -> None:
    """It is live with a builder for the work that was heard of within ten minutes; who drains comes back."""
    assert count_domains([seen("one", **given)], AMD64, NOON) == Domains(live=live, enrolled=enrolled)


def test_two_builders_of_one_domain_are_one() -> None:
    """A quorum never counts two of one."""
    both = [seen("one", fault_domain="rack"), seen("two", fault_domain="rack")]
    assert count_domains(both, AMD64, NOON) == Domains(live=1, enrolled=1)


def test_what_waits_for_more_domains_than_there_are_is_named(database: Database) -> None:
    """Rebuilds by class, tags and quorum, and plans, whose rebuilds will wait; a quorum of two can be reached."""
    owe(database, 3)
    owe(database, 2, name="small")
    Jobs(database).add([new("later", JobKind.PLAN, quorum=5), new("soon", JobKind.PLAN, quorum=2)], NOON)
    found = find_unreachable(database, [seen("one"), seen("two")], NOON)
    two = Domains(live=2, enrolled=2)
    assert [(each.kind, each.wanted, each.domains, each.jobs) for each in found] == [
        (JobKind.PLAN, Wanted(quorum=5), two, 1),
        (JobKind.REBUILD, AMD64, two, 3),
    ]
    assert [each.wanted.quorum for each in find_unreachable(database, [seen(name) for name in "abc"], NOON)] == [5]
    assert find_unreachable(database, [seen(name) for name in "abcde"], NOON) == ()


def test_a_share_that_is_done_counts_when_its_builder_is_gone(database: Database) -> None:
    """Two domains and the one that did its share make three; a live one's own share makes no more of it."""
    owe(database, 3)
    jobs, builders = Jobs(database), [seen("one"), seen("two"), seen("gone")]
    lease = jobs.claim(Offer(worker=builders[2], kind=JobKind.REBUILD), NOON, lease=MINUTE)
    assert lease is not None
    assert jobs.job(lease.job.id).state is JobState.LEASED
    without = [*builders[:2], replace(builders[2], seen_at=NOON - timedelta(hours=1))]
    assert find_unreachable(database, without, NOON) == ()
    (short,) = find_unreachable(database, [builders[0], without[2]], NOON)
    assert (short.jobs, short.domains) == (2, Domains(live=1, enrolled=2))


def test_a_single_builder_is_no_quorum(database: Database) -> None:
    """What nobody does at all is told of elsewhere (`find_unserved`)."""
    owe(database, 1)
    assert find_unreachable(database, [], NOON) == ()
