"""Celery's remote control, which nobody signs, through a real Redis with the users of `make up`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import requests
from celery import Celery  # type: ignore[import-untyped] # Celery has no types
from kombu.exceptions import OperationalError
from redis import Redis
from redis.exceptions import ResponseError

from rebuilder.config import FarmSettings
from tests.servers import free_port
from tests.workers.processes import PATIENCE_S, Process, broker, process
from workers.app import make_app

CHANNEL = "/0.celery.pidbox"


@pytest.fixture
def port(farm: Path, tmp_path: Path) -> Iterator[int]:
    """Run Redis as `make up` does."""
    with broker(farm, tmp_path / "redis") as port:
        yield port


@pytest.fixture
def comparer(farm: Path, port: int) -> Iterator[Process]:
    """Run a worker that the broker wakes; its coordinator is away, which is no matter here."""
    settings = {
        "farm_coordinator": f"http://127.0.0.1:{free_port()}",
        "farm_broker": f"redis://compare@127.0.0.1:{port}/0",
        "farm_broker_password_file": str(farm / "secrets" / "broker-compare"),
    }
    with process(farm / "comparer", "worker", "compare", **settings) as started:
        started.says("ready.")
        yield started


def app_of(farm: Path, user: str, port: int) -> Celery:
    """Make the application as whoever has a user's password."""
    return make_app(
        FarmSettings(
            broker=f"redis://{user}@127.0.0.1:{port}/0", broker_password_file=farm / "secrets" / f"broker-{user}"
        )
    )


def wait_until_queues_are(word: str, worker: Process) -> None:
    """Wait until /readyz says so of the worker's queues."""
    deadline = time.monotonic() + PATIENCE_S
    found = None
    while found != word:
        assert time.monotonic() < deadline, (found, worker.log.read_text())
        with suppress(requests.ConnectionError):
            found = requests.get(f"{worker.health}/readyz", timeout=30).json()["parts"]["queues"]
        time.sleep(0.2)


@pytest.mark.parametrize("user", ["rebuild", "compare"])
def test_attack_a_workers_password_commands_nobody(farm: Path, port: int, comparer: Process, user: str) -> None:
    """Neither by Celery nor past it can a worker's user send a control command, and the others listen as before."""
    with pytest.raises(OperationalError, match="no permissions to run the 'publish' command"):
        app_of(farm, user, port).control.cancel_consumer("compare", reply=True, timeout=2)
    secret = (farm / "secrets" / f"broker-{user}").read_text().strip()
    with Redis(port=port, username=user, password=secret) as client:
        for words in (
            ("PUBLISH", CHANNEL, "{}"),
            ("SPUBLISH", CHANNEL, "{}"),
            ("EVAL", "return redis.pcall('PUBLISH', ARGV[1], ARGV[2])", "0", CHANNEL, "{}"),
        ):
            with pytest.raises(ResponseError, match=r"no permissions|can't run this command"):
                client.execute_command(*words)
    wait_until_queues_are("ok", comparer)
    assert "Canceling queue" not in comparer.log.read_text()


def test_the_coordinators_password_does(farm: Path, port: int, comparer: Process) -> None:
    """It asks who is there and what he listens to, takes a queue away, which /readyz tells, and ends a worker."""
    control = app_of(farm, "coordinator", port).control
    ((name, answer),) = control.inspect(timeout=10, limit=1).ping().items()
    assert answer == {"ok": "pong"}
    ((_, queues),) = control.inspect(timeout=10, limit=1).active_queues().items()
    assert [each["name"] for each in queues] == ["compare"]
    wait_until_queues_are("ok", comparer)
    control.cancel_consumer("compare")
    wait_until_queues_are("unavailable", comparer)
    assert "this worker does not listen to compare" in comparer.log.read_text()
    control.add_consumer("compare")
    wait_until_queues_are("ok", comparer)
    control.shutdown(destination=[name])
    assert comparer.program.wait(PATIENCE_S) == 0
