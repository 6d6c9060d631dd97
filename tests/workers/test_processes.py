"""The farm's processes as they are started for real: `python -m workers ROLE`, each ready, each ended in good order."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import time
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests
from redis import Redis
from redis.exceptions import NoPermissionError

from rebuilder.attest.keys import Role
from rebuilder.attest.keystore import enrolled
from rebuilder.model.cause import Cause
from rebuilder.model.job import JobKind, JobState, NewJob
from rebuilder.store.blobs import LocalBlobs
from rebuilder.store.database import Database
from rebuilder.store.jobs import Jobs
from rebuilder.store.tables import SCHEMA_VERSION
from tests.servers import free_port
from tests.workers.processes import PATIENCE_S, ROOT, broker, process, wait_for
from tools import farm_secrets


def test_a_coordinator_and_its_workers_are_ready_and_end(farm: Path, ledger: dict[str, str], tmp_path: Path) -> None:
    """The coordinator enrols whom the operator named, workers find it, and SIGTERM ends all of them with 0."""
    shutil.copy(farm / "secrets" / "attestation.pem", farm / "signer" / "keys")
    port = free_port()
    settings = {"farm_coordinator": f"http://127.0.0.1:{port}", "results": str(tmp_path / "results")}
    with ExitStack() as stack:
        words = ("coordinator", "--port", str(port))
        coordinator = stack.enter_context(process(farm / "coordinator", *words, **ledger))
        assert coordinator.ready()["parts"] == {"api": "ok", "ledger": "ok"}
        kinds = {"comparer": "compare", "signer": "sign", "publisher": "publish"}
        workers = [
            stack.enter_context(process(farm / name, "worker", kind, **settings)) for name, kind in kinds.items()
        ]
        for each in workers:
            assert each.ready()["parts"] == {"coordinator": "ok", "key": "ok"}
        wait_for(f"{coordinator.health}/metrics", 'rebuilder_workers{standing="seen"} 3.0')
        assert [each.end() for each in (*workers, coordinator)] == [0, 0, 0, 0]
        logs = [each.log.read_text() for each in (*workers, coordinator)]
    assert [text for text in logs if "Traceback" in text or '"level": "error"' in text] == []


def test_the_broker_wakes_a_worker_with_its_roles_own_user(
    farm: Path, ledger: dict[str, str], postgres_database: Database, tmp_path: Path
) -> None:
    """Through Redis with its ACL: the coordinator's wake-up reaches the comparer, who claims the job.

    A user may not read another role's queue, nor administer.
    """
    port, api = free_port(), free_port()
    with ExitStack() as stack:
        port = stack.enter_context(broker(farm, tmp_path / "redis"))

        def settings(user: str) -> dict[str, str]:
            secret = str(farm / "secrets" / f"broker-{user}")
            return {"farm_broker": f"redis://{user}@127.0.0.1:{port}/0", "farm_broker_password_file": secret}

        words = ("coordinator", "--port", str(api))
        coordinator = stack.enter_context(
            process(farm / "coordinator", *words, farm_sweep="1 s", **ledger, **settings("coordinator"))
        )
        coordinator.ready()
        there = {"farm_coordinator": f"http://127.0.0.1:{api}", **settings("compare")}
        comparer = stack.enter_context(process(farm / "comparer", "worker", "compare", **there))
        comparer.ready()
        new = NewJob(kind=JobKind.COMPARE, target="pkg:deb/debian/demo@1.0", suite="trixie", name="demo")
        (number,) = Jobs(postgres_database).add([new], datetime.now(UTC))
        deadline = time.monotonic() + PATIENCE_S
        while '"event": "begun"' not in (text := comparer.log.read_text()):
            assert time.monotonic() < deadline, text + coordinator.log.read_text()
            time.sleep(0.2)
        (line,) = [json.loads(line) for line in text.splitlines() if '"event": "begun"' in line]
        assert (line["job"], line["role"], line["attempt"]) == (number, "compare", 1)
        while (job := Jobs(postgres_database).job(number)).state is JobState.LEASED:
            assert time.monotonic() < deadline, comparer.log.read_text() + coordinator.log.read_text()
            time.sleep(0.2)
        # It is of no case and has no task: that it failed is taken, and the worker is not told to be wrong.
        assert (job.state, job.cause) == (JobState.FAILED, Cause.UNTRUSTED_INPUT)
        assert "(400)" not in comparer.log.read_text()
        client = Redis(
            port=port, username="compare", password=(farm / "secrets" / "broker-compare").read_text().strip()
        )
        for forbidden in (lambda: client.lpush("sign", "x"), client.flushall, lambda: client.config_get("*")):
            with pytest.raises(NoPermissionError):
                forbidden()
        client.close()


def test_an_older_ledger_is_refused_and_left_as_it_was(tmp_path: Path) -> None:
    """A role upgrades nothing: the coordinator says who does, and ends with exit code 4."""
    path = tmp_path / "coordinator" / "ledger.sqlite"
    path.parent.mkdir()
    with sqlite3.connect(path) as connection:
        connection.executescript((ROOT / "tests" / "store" / "assets" / "ledger-schema-2.sql").read_text("utf-8"))
    connection.close()
    with process(path.parent, "coordinator") as coordinator:
        assert coordinator.program.wait(PATIENCE_S) == 4
        text = coordinator.log.read_text()
    assert f"expected ledger schema {SCHEMA_VERSION}, found 2" in text
    assert "`rebuilder ledger upgrade` brings it forward" in text
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (2,)
    connection.close()


def test_a_refused_password_ends_with_the_documented_code(farm: Path, ledger: dict[str, str]) -> None:
    """A database that refuses the password is one line in the log and exit code 4, with the password nowhere."""
    Path(ledger["farm_database_password_file"]).write_text("guessed-wrong")
    with process(farm / "coordinator", "coordinator", **ledger) as coordinator:
        assert coordinator.program.wait(PATIENCE_S) == 4
        text = coordinator.log.read_text()
    assert "password authentication failed" in text
    assert "guessed-wrong" not in text
    assert "Traceback" not in text


def test_a_worker_without_a_coordinator_stays_and_says_so(farm: Path) -> None:
    """A coordinator that does not answer is waited for: alive, not ready, and the part is named."""
    nobody = f"http://127.0.0.1:{free_port()}"
    with process(farm / "publisher", "worker", "publish", farm_coordinator=nobody) as worker:
        deadline = time.monotonic() + PATIENCE_S
        answer = None
        while answer is None and time.monotonic() < deadline:
            with suppress(requests.ConnectionError):
                answer = requests.get(f"{worker.health}/readyz", timeout=60)
            time.sleep(0.1)
        assert answer is not None
        parts = {"coordinator": "unavailable", "key": "unavailable"}
        assert (answer.status_code, answer.json()["parts"]) == (503, parts)
        assert requests.get(f"{worker.health}/healthz", timeout=10).status_code == 200


@pytest.mark.parametrize("kind", ["publish", "sign"])
def test_a_worker_that_is_told_no_coordinator_is_a_usage_error(farm: Path, kind: str) -> None:
    """A missing setting is exit code 2 and its name."""
    with process(farm / "publisher", "worker", kind) as worker:
        assert worker.program.wait(PATIENCE_S) == 2
        assert "farm.coordinator is not set" in worker.log.read_text()


def test_the_web_server_gives_the_results(farm: Path, tmp_path: Path) -> None:
    """Files of the results directory, index.html for a directory, and nothing above it."""
    results, port = tmp_path / "results", free_port()
    results.mkdir()
    (results / "index.html").write_text("<p>results")
    (tmp_path / "secret").write_text("not for the web")
    (farm / "web").mkdir()
    with process(farm / "web", "web", "--port", str(port), results=str(results)) as web:
        web.ready()
        assert requests.get(f"http://127.0.0.1:{port}/", timeout=10).text == "<p>results"
        for path in ("/../secret", "/%2e%2e/secret"):
            assert "not for" not in requests.get(f"http://127.0.0.1:{port}{path}", timeout=10).text


def test_state_directories_know_only_what_their_role_needs(farm: Path) -> None:
    """The attestation key is in no role's directory; the signer knows builders and comparer, each with its domain."""
    held = {path.relative_to(farm).parts[0] for path in farm.rglob("attestation.pem")}
    assert held == {"secrets", "attestation"}
    signer = farm / "signer"
    assert len(enrolled(signer, Role.BUILDER)) == 2
    assert len(enrolled(signer, Role.COMPARER)) == 1
    domains = {path.read_text().strip() for path in (signer / "enrolled" / "builder").glob("*.domain")}
    assert domains == {"here-1", "here-2"}
    for path in (*(farm / "secrets").iterdir(), *farm.rglob("keys/*.pem")):
        assert path.stat().st_mode & 0o077 == 0, path


def test_preparing_again_replaces_nothing(farm: Path) -> None:
    """Keys and passwords of a farm that runs stay what they are."""
    before = {path: path.read_bytes() for path in farm.rglob("*") if path.is_file()}
    farm_secrets.prepare(farm, builders=2, architecture="amd64", owner=os.geteuid())
    assert {path: path.read_bytes() for path in farm.rglob("*") if path.is_file()} == before


def test_garbage_is_told_from_the_command_line(farm: Path, tmp_path: Path) -> None:
    """An old blob that nothing names is told by a dry run, removed by the next, and gone in the third.

    Where there is no ledger it is refused: by an empty one every blob would be garbage.
    """
    state = farm / "coordinator"
    blobs = LocalBlobs(state / "cache" / "blobs")
    path = blobs.path(blobs.put(b"stray"))
    os.utime(path, (0, 0))
    with process(state, "garbage") as refused:
        assert refused.program.wait(PATIENCE_S) == 4
        assert "there is no ledger yet" in refused.log.read_text()
    assert path.is_file()
    Database(state / "ledger.sqlite").close()
    said = []
    for words in (["--dry-run"], [], []):
        with process(state, "garbage", *words) as done:
            assert done.program.wait(PATIENCE_S) == 0
            said.append(done.log.read_text().strip())
    tail = "kept 0 that are named and 0 that are young"
    assert said[0] == f"would remove 1 blobs, 5 bytes; {tail}"
    assert said[1] == f"removed 1 blobs, 5 bytes; {tail}"
    assert said[2] == f"removed 0 blobs, 0 bytes; {tail}"
