"""Bad input to a farm of real processes and servers: said clearly in the log and in `status`, and nothing is lost."""

from __future__ import annotations

import base64
import json
import shutil
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests
import sqlalchemy as sa
from redis import Redis

from rebuilder.attest.keys import Role
from rebuilder.attest.keystore import key_path, key_uri, load_public_key
from rebuilder.attest.signing import open_signer
from rebuilder.config import FarmSettings
from rebuilder.model.job import JobKind, JobState, NewJob
from rebuilder.store.database import Database
from rebuilder.store.jobs import Jobs
from rebuilder.store.tables import SCHEMA_VERSION
from rebuilder.store.workers import Workers
from tests.servers import free_port
from tests.workers.processes import PATIENCE_S, Process, broker, process
from workers.app import make_app, task_of
from workers.standing import read_status
from workers.wake import Delivery, make_token

COMPARER = ("worker", "compare")


def refused(database: Database, kind: str) -> list[str]:
    """Wait until `status` shows a refusal; return why."""
    deadline = time.monotonic() + PATIENCE_S
    while not (
        found := [each.detail for each in read_status(database, datetime.now(UTC)).refusals if each.kind == kind]
    ):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return found


def owe(database: Database, name: str) -> int:
    """Owe a comparison of nothing: whoever claims it reports that it failed."""
    new = NewJob(kind=JobKind.COMPARE, target=f"pkg:deb/debian/{name}@1.0", suite="trixie", name=name)
    (number,) = Jobs(database).add([new], datetime.now(UTC))
    return number


def wait_for_end(database: Database, number: int, log: Process) -> None:
    """Wait until a job was claimed and reported on."""
    deadline = time.monotonic() + PATIENCE_S
    while Jobs(database).job(number).state is not JobState.FAILED:
        assert time.monotonic() < deadline, log.log.read_text()
        time.sleep(0.2)


@pytest.mark.parametrize("words", [("coordinator",), ("garbage",)])
def test_a_newer_ledger_is_left_alone(words: tuple[str, ...], tmp_path: Path) -> None:
    """A file of a newer schema: exit code 4, what was expected and found, and the file is as it was."""
    state = tmp_path / "coordinator"
    Database(state / "ledger.sqlite").close()
    with sqlite3.connect(state / "ledger.sqlite") as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    connection.close()
    with process(state, *words) as started:
        assert started.program.wait(PATIENCE_S) == 4
        text = started.log.read_text()
    assert f"expected ledger schema {SCHEMA_VERSION}, found {SCHEMA_VERSION + 1}" in text
    assert "a newer rebuilder made it" in text
    assert "Traceback" not in text


def test_a_newer_server_ends_the_coordinator(farm: Path, ledger: dict[str, str], postgres_database: Database) -> None:
    """The same of PostgreSQL."""
    version = sa.text("UPDATE alembic_version SET version_num = :number")
    with postgres_database.write() as connection:
        connection.execute(version, {"number": str(SCHEMA_VERSION + 1)})
    try:
        with process(farm / "coordinator", "coordinator", **ledger) as coordinator:
            assert coordinator.program.wait(PATIENCE_S) == 4
            text = coordinator.log.read_text()
    finally:
        with postgres_database.write() as connection:
            connection.execute(version, {"number": str(SCHEMA_VERSION)})
    assert f"expected ledger schema {SCHEMA_VERSION}, found {SCHEMA_VERSION + 1}" in text
    assert "Traceback" not in text


@pytest.fixture
def served(farm: Path, ledger: dict[str, str], tmp_path: Path) -> Iterator[tuple[Process, int, str]]:
    """Run Redis and a coordinator; give it, Redis's port and the coordinator's address."""
    api = free_port()
    with ExitStack() as stack:
        port = stack.enter_context(broker(farm, tmp_path / "redis"))
        settings = ledger | wakes(farm, port, "coordinator") | {"farm_sweep": "1 s", "farm_wake_again": "2 s"}
        words = ("coordinator", "--port", str(api))
        coordinator = stack.enter_context(process(farm / "coordinator", *words, **settings))
        coordinator.ready()
        yield coordinator, port, f"http://127.0.0.1:{api}"


def wakes(farm: Path, port: int, user: str) -> dict[str, str]:
    """Settings that name the broker for one of its users."""
    secret = str(farm / "secrets" / f"broker-{user}")
    return {"farm_broker": f"redis://{user}@127.0.0.1:{port}/0", "farm_broker_password_file": secret}


def test_an_unknown_key_waits_and_a_revoked_one_is_let_in_no_more(
    farm: Path, served: tuple[Process, int, str], postgres_database: Database
) -> None:
    """Either says so and what to do, is not ready, stays up, and is seen in `status`; an enrolled one works on."""
    _, _, base = served
    workers = Workers(postgres_database)
    keyid = load_public_key(key_path(farm / "comparer", Role.COMPARER).with_suffix(".pub")).keyid
    stranger = farm / "stranger"
    stranger.mkdir(mode=0o700)
    with (
        process(stranger, *COMPARER, farm_coordinator=base) as unknown,
        process(farm / "comparer", *COMPARER, farm_coordinator=base) as known,
    ):
        text = unknown.says("is not enrolled")
        assert "the operator enrols workers: `rebuilder workers token`" in text
        assert requests.get(f"{unknown.health}/readyz", timeout=30).json()["parts"] == {
            "coordinator": "ok",
            "key": "refused",
        }
        assert any("is not enrolled" in detail for detail in refused(postgres_database, "worker-refused"))
        known.ready()
        wait_for_end(postgres_database, owe(postgres_database, "before"), known)
        workers.revoke(keyid, datetime.now(UTC))
        known.says("worker comparer was revoked at")
        number = owe(postgres_database, "after")
        assert requests.get(f"{known.health}/readyz", timeout=30).status_code == 503
        assert any("worker comparer was revoked" in each for each in refused(postgres_database, "worker-refused"))
        assert (unknown.program.poll(), known.program.poll()) == (None, None)
        assert Jobs(postgres_database).job(number).state is JobState.READY
        (waiting,) = read_status(postgres_database, datetime.now(UTC)).unserved
        assert (waiting.kind, waiting.jobs) == (JobKind.COMPARE, 1)
        assert [known.end(), unknown.end()] == [0, 0]
        assert "Traceback" not in known.log.read_text() + unknown.log.read_text()


def test_a_revoked_worker_that_is_woken_says_so_and_stays(
    farm: Path, served: tuple[Process, int, str], postgres_database: Database
) -> None:
    """The same of one that Celery runs: no traceback, and the next wake-up finds it there."""
    coordinator, port, base = served
    keyid = load_public_key(key_path(farm / "comparer", Role.COMPARER).with_suffix(".pub")).keyid
    settings = {"farm_coordinator": base, **wakes(farm, port, "compare")}
    with process(farm / "comparer", *COMPARER, **settings) as comparer:
        comparer.says("ready.")
        Workers(postgres_database).revoke(keyid, datetime.now(UTC))
        number = owe(postgres_database, "after")
        text = comparer.says("was revoked at")
        assert "Traceback" not in text
        assert Jobs(postgres_database).job(number).state is JobState.READY
        assert comparer.program.poll() is None
    assert "Traceback" not in coordinator.log.read_text()


def test_a_broker_that_refuses_the_password(
    farm: Path, ledger: dict[str, str], postgres_database: Database, tmp_path: Path
) -> None:
    """The coordinator goes on without waking and says so; nobody's password is shown; who asks by himself works."""
    api = free_port()
    (farm / "secrets" / "broker-coordinator").write_text("guessed-wrong\n")
    (farm / "secrets" / "broker-compare").write_text("guessed-wrong\n")
    with ExitStack() as stack:
        port = stack.enter_context(broker(farm, tmp_path / "redis"))
        settings = ledger | wakes(farm, port, "coordinator") | {"farm_sweep": "1 s", "farm_wake_again": "2 s"}
        words = ("coordinator", "--port", str(api))
        coordinator = stack.enter_context(process(farm / "coordinator", *words, **settings))
        base = f"http://127.0.0.1:{api}"
        number = owe(postgres_database, "demo")
        text = coordinator.says("the broker does not take wake-ups")
        assert "farm.broker_password_file" in text
        woken = {"farm_coordinator": base, **wakes(farm, port, "compare")}
        silent = stack.enter_context(process(farm / "comparer", *COMPARER, **woken))
        silent.says("invalid username-password pair")
        for part in (coordinator, silent):
            assert requests.get(f"{part.health}/readyz", timeout=30).json()["parts"]["broker"] == "unavailable"
        shutil.copytree(farm / "comparer", farm / "asking")
        asking = stack.enter_context(process(farm / "asking", *COMPARER, farm_coordinator=base))
        wait_for_end(postgres_database, number, asking)
        assert (coordinator.program.poll(), silent.program.poll()) == (None, None)
        said = [each.log.read_text() for each in (coordinator, silent, asking)]
    assert "guessed-wrong" not in "".join(said)
    assert "Traceback" not in "".join(said)


def message(task: str, body: bytes = b"[[], {}, {}]", changed: Mapping[str, object] | None = None) -> bytes:
    """Make a message as Celery sends it."""
    return json.dumps(
        {
            "body": base64.b64encode(body).decode(),
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": {"task": task, "id": "7", "root_id": "7", "parent_id": None, "group": None, "lang": "py"},
            "properties": {
                "body_encoding": "base64",
                "correlation_id": "7",
                "delivery_info": {"exchange": "", "routing_key": "compare"},
                "delivery_tag": task + str(changed),
            },
        }
        | dict(changed or {})
    ).encode()


JUNK = (
    b"",
    b"no message",
    b"{}",
    b"[]",
    b"null",
    b"\xff\xfe",
    b"[" * 200_000,
    json.dumps({"body": "!!!", "headers": {}, "properties": {}}).encode(),
    json.dumps({"body": "bnVsbA==", "content-type": "application/x-python-serialize", "headers": {}}).encode(),
    message("celery.chord"),
    message("os.system"),
    message("workers.compare", changed={"content-type": "application/x-python-serialize"}),
    message("workers.compare", b"null"),
    message("workers.compare", b"[" * 200_000),
    message("workers.compare", changed={"headers": {"task": "workers.compare"}}),
    message("workers.compare", changed={"headers": {"task": ["workers.compare"], "id": "7"}}),
)


def test_malformed_messages_wake_nobody_and_end_nothing(
    farm: Path, served: tuple[Process, int, str], postgres_database: Database
) -> None:
    """What is no message of Celery's, or none of ours, is dropped, and `status` says so; the next job is done."""
    _, port, base = served
    settings = {"farm_coordinator": base, **wakes(farm, port, "compare")}
    client = Redis(
        port=port, username="coordinator", password=(farm / "secrets" / "broker-coordinator").read_text().strip()
    )
    with process(farm / "comparer", *COMPARER, **settings) as comparer:
        comparer.says("ready.")
        for junk in JUNK:
            client.lpush("compare", junk)
        number = owe(postgres_database, "demo")
        wait_for_end(postgres_database, number, comparer)
        assert comparer.program.poll() is None
        deadline = time.monotonic() + PATIENCE_S / 3
        while sum(each.count for each in read_status(postgres_database, datetime.now(UTC)).refusals) < len(JUNK):
            assert time.monotonic() < deadline, comparer.log.read_text()
            time.sleep(0.2)
        refusals = read_status(postgres_database, datetime.now(UTC)).refusals
        assert {(each.kind, each.subject) for each in refusals} == {("wake-refused", "workers.compare")}
    client.close()


@pytest.mark.parametrize("kind", sorted(set(JobKind) - {JobKind.COMPARE}))
def test_attack_relabelled_for_another_role(
    farm: Path, served: tuple[Process, int, str], postgres_database: Database, kind: JobKind
) -> None:
    """A wake-up that the coordinator signed, under the task of a role that this worker is not: refused, and told of.

    Nothing of that role is begun: no key of it is made.
    """
    _, port, base = served
    before = sorted((farm / "comparer" / "keys").iterdir())
    signer = open_signer(key_uri(farm / "coordinator", Role.COORDINATOR))
    secret = farm / "secrets" / "broker-coordinator"
    app = make_app(FarmSettings(broker=f"redis://coordinator@127.0.0.1:{port}/0", broker_password_file=secret))
    delivery = Delivery(task=task_of(kind), queue=str(kind))
    number = owe(postgres_database, "demo")
    token = make_token(Jobs(postgres_database).job(number), delivery, signer, datetime.now(UTC))
    settings = {"farm_coordinator": base, **wakes(farm, port, "compare")}
    with process(farm / "comparer", *COMPARER, **settings) as comparer:
        comparer.says("ready.")
        app.send_task(delivery.task, args=(token,), queue="compare")
        (detail,) = refused(postgres_database, "wake-refused")
        assert f"expected a wake-up for workers.compare, found one for workers.{kind}" in detail
        wait_for_end(postgres_database, number, comparer)
    assert sorted((farm / "comparer" / "keys").iterdir()) == before
