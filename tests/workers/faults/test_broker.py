"""Faults of the broker and of what it carries, done to a real Redis between real coordinators and Celery workers."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import redis as redis_client

from rebuilder.model.job import JobKind
from rebuilder.store.conclusions import EventKind
from tests.workers.faults.farm import BUILDERS, OFFICE, Farm
from tests.workers.faults.outcome import outcome_of

Say = Callable[[str], None]
WORKERS = (OFFICE, *BUILDERS)


@contextmanager
def client(farm: Farm) -> Iterator[redis_client.Redis]:
    """Talk to the farm's broker as its administrator."""
    connection = redis_client.Redis(port=farm.redis.port, password=farm.redis.password, socket_timeout=10)
    try:
        yield connection
    finally:
        connection.close()


def names(of: str, count: int) -> tuple[str, ...]:
    """Name made-up packages of one test."""
    return tuple(f"{of}-{number}" for number in range(count))


def verify_whole(farm: Farm, say: Say, fault: str) -> None:
    """Wait for the end; every count must be right."""
    farm.wait_for_the_end()
    found = outcome_of(farm)
    say(f"{fault}: {found}")
    assert found.is_whole, farm.said()


def queued_without_planner(farm: Farm, *owed: str) -> None:
    """Owe packages while nobody reads their queue: each wake-up lies in Redis, and nowhere else."""
    farm.kill(OFFICE)
    with client(farm) as broker:
        broker.flushall()
        farm.owe(*owed)
        farm.wait(lambda: broker.llen("plan") >= len(owed), "no wake-up was queued")


def test_wiped(farm: Farm, say: Say) -> None:
    """FLUSHALL while every wake-up is in Redis alone: not one is left, and all the jobs are done.

    No worker that reads the queue lives, so none has a message in hand. That the jobs end is the reconciler's doing.
    """
    owed = names("wiped", 4)
    queued_without_planner(farm, *owed)
    with client(farm) as broker:
        lost = broker.llen("plan")
        broker.flushall()
        left = broker.llen("plan") + broker.hlen("unacked")
    farm.start(OFFICE)
    assert (lost >= len(owed), left) == (True, 0)
    verify_whole(farm, say, f"FLUSHALL, {lost} wake-ups for {len(owed)} jobs lost, {left} left")


def test_a_message_twice(farm: Farm, say: Say) -> None:
    """Each wake-up three times in its queue: it counts once, its repetitions are events, each job is claimed once."""
    owed = names("twice", 3)
    before = len(farm.ledger.events())
    queued_without_planner(farm, *owed)
    with client(farm) as broker:
        messages = broker.lrange("plan", 0, -1)
        broker.rpush("plan", *messages, *messages)
    farm.start(OFFICE)
    farm.wait(lambda: _repeated(farm, before) >= 2 * len(owed), "no repetition was refused")
    farm.wait_for_the_end()
    claims = [len(farm.jobs.leases_of(job.id)) for name in owed if (job := farm.job(JobKind.PLAN, name))]
    assert claims == [1] * len(owed)
    verify_whole(farm, say, f"messages three times, {_repeated(farm, before)} repetitions refused, claims {claims}")


def _repeated(farm: Farm, before: int) -> int:
    events = farm.ledger.events()[before:]
    return sum(event.kind is EventKind.WAKE_REFUSED and "came before" in event.detail for event in events)


def test_a_message_never(farm: Farm, say: Say) -> None:
    """One wake-up of three is taken out of Redis: its job is done as well."""
    owed = names("never", 3)
    queued_without_planner(farm, *owed)
    with client(farm) as broker:
        assert broker.lpop("plan") is not None
    farm.start(OFFICE)
    verify_whole(farm, say, "a message that never arrives")


@pytest.mark.parametrize("kill", [True, False], ids=["killed", "stopped"])
def test_away_and_back(farm: Farm, kill: bool, say: Say) -> None:  # noqa: FBT001 - a case
    """It ends while jobs run; more is owed while it is down; it comes back with its append-only file."""
    word = "killed" if kill else "stopped"
    farm.owe(*names(f"{word}-before", 4))
    farm.wait(lambda: farm.job(JobKind.REBUILD, f"{word}-before-0"), "nothing was planned")
    farm.redis.stop(kill=kill)
    farm.owe(*names(f"{word}-meanwhile", 2))
    time.sleep(3)
    farm.redis.start()
    verify_whole(farm, say, f"Redis {word} for 3 s while jobs run")


@pytest.mark.parametrize("seconds", [8, pytest.param(60, marks=pytest.mark.slow)])
def test_paused(farm: Farm, seconds: int, say: Say) -> None:
    """SIGSTOP: connections are open, and nobody answers."""
    farm.owe(*names(f"paused-{seconds}", 4))
    farm.wait(lambda: farm.job(JobKind.REBUILD, f"paused-{seconds}-0"), "nothing was planned")
    process = farm.redis.process
    assert process is not None
    os.kill(process.pid, signal.SIGSTOP)
    try:
        farm.owe(f"paused-{seconds}-more")
        time.sleep(seconds)
    finally:
        os.kill(process.pid, signal.SIGCONT)
    verify_whole(farm, say, f"Redis paused for {seconds} s while jobs run")


@pytest.mark.parametrize("role", ["pubsub", "normal"])
def test_connections_cut(farm: Farm, role: str, say: Say) -> None:
    """All connections of a kind end while Redis stays, so that to connect anew succeeds at once: everybody works on.

    Those for publish and subscribe are the workers' remote control. It works afterwards as well.
    """
    with client(farm) as broker:
        _wait_for_everybody(farm, broker)
        cut = broker.client_kill_filter(_type=role, skipme=True)
        assert cut >= len(WORKERS)
        _wait_for_everybody(farm, broker)
    farm.owe(*names(f"cut-{role}", 2))
    verify_whole(farm, say, f"{cut} {role} connections cut")


def _wait_for_everybody(farm: Farm, broker: redis_client.Redis) -> None:
    farm.wait(lambda: len(broker.client_list(_type="pubsub")) == len(WORKERS), "not everybody is there", patience_s=60)


def test_out_of_memory(farm: Farm, say: Say) -> None:
    """Redis refuses every write: nobody can be woken, the coordinators stay up, and all is done when it has room."""
    with client(farm) as broker:
        farm.kill(OFFICE)
        broker.flushall()
        broker.config_set("maxmemory", 1)
        with pytest.raises(redis_client.exceptions.OutOfMemoryError):
            broker.set("anything", "more")
        farm.owe(*names("full", 3))
        refusals = {name: _refusals(farm, name) for name in ("coordinator-1", "coordinator-2")}
        farm.wait(lambda: any(_refusals(farm, name) > refusals[name] for name in refusals), "no refusal was noticed")
        queued = broker.llen("plan")
        broker.config_set("maxmemory", 0)
    farm.start(OFFICE)
    assert queued == 0
    assert all(farm.processes[name].poll() is None for name in ("coordinator-1", "coordinator-2"))
    verify_whole(farm, say, f"Redis out of memory, {queued} of 3 wake-ups taken")


def _refusals(farm: Farm, name: str) -> int:
    return (farm.root / f"{name}.log").read_text().count("does not take wake-ups")
