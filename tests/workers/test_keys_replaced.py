"""Keys that were lost or stolen are replaced as docs/FARM.md, "Keys that are lost or stolen", has it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import AuthenticationError, NoPermissionError

from rebuilder.attest.check import check
from rebuilder.attest.keys import Role
from rebuilder.attest.keystore import ensure_key, key_path, load_public_key
from rebuilder.errors import SignatureRefused
from rebuilder.model.cause import Cause
from rebuilder.model.job import JobKind, JobState
from rebuilder.model.verdict import Verdict
from rebuilder.store.database import Database
from rebuilder.store.jobs import Jobs, Selection
from rebuilder.store.workers import Grant, Workers
from tests.servers import free_port
from tests.workers.office import Office
from tests.workers.processes import broker, process
from tests.workers.test_bad_input import COMPARER, owe, refused, wait_for_end, wakes
from tools import farm_secrets
from workers.serving import serve

REASON = "the key that signed it was stolen"


def retire(office: Office) -> Office:
    """Put the attestation key into a state directory of its own; start signer and coordinator again with a new one."""
    own, retired = key_path(office.root / "signer", Role.ATTESTATION), office.root / "retired"
    retired.mkdir(mode=0o700)
    (retired / "keys").mkdir(mode=0o700)
    for path in (own, own.with_suffix(".pub")):
        path.rename(retired / "keys" / path.name)
    return Office(office.root, ahead=office.ahead)


def ask(state: Path, results: Path, *words: str | Path) -> tuple[int, str]:
    """Run a verb beside some state directory; return its exit code and what it says."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("REBUILDER_")}
    environment |= {"REBUILDER_STATE": str(state), "REBUILDER_RESULTS": str(results)}
    environment |= {"REBUILDER_CACHE": str(state / "cache")}
    argv = [sys.executable, "-c", "import sys; from rebuilder.cli.guard import run; sys.exit(run(sys.argv[1:]))"]
    done = subprocess.run(
        [*argv, *map(str, words)], env=environment, cwd=state, capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout + done.stderr


def test_a_new_attestation_key_stands_beside_the_old_one(tmp_path: Path) -> None:
    """What either signed is checked by who pinned both; the retired key alone withdraws, and the ledger hears of it."""
    office = Office(tmp_path)
    office.owe("one")
    office.work_to_the_end()
    old_key, (old,) = office.attester, office.published()
    office = retire(office)
    office.owe("two")
    office.work_to_the_end()
    (new,) = set(office.published()) - {old}
    assert office.attester != old_key
    for result in (old, new):
        assert check(result, [old_key, office.attester]).verdict is Verdict.REPRODUCED
    for result, key in ((old, office.attester), (new, old_key)):
        with pytest.raises(SignatureRefused, match="signed by 0 of the keys that were given"):
            check(result, [key])
    results = office.settings.results
    code, said = ask(tmp_path / "signer", results, "withdraw", old, "--reason", REASON)
    assert (code, "signed by 0 of the keys that were given" in said) == (3, True), said
    code, said = ask(tmp_path / "retired", results, "withdraw", old, "--reason", REASON)
    assert code == 0, said
    assert check(old, [old_key, office.attester]).verdict is Verdict.UNDECIDED
    coordinator = office.settings.state
    assert REASON not in ask(coordinator, results, "ledger", "history", "one")[1]
    assert ask(coordinator, results, "ledger", "rebuild")[0] == 0
    assert REASON in ask(coordinator, results, "ledger", "history", "one")[1]


def test_what_waited_for_the_old_keys_signature_fails_and_is_named(tmp_path: Path) -> None:
    """The new key signs nothing that names the old one; who owes it again gets a result of the new key."""
    office = Office(tmp_path)
    office.owe("one")
    while not office.coordinator.bureau.jobs.find(Selection(kind=JobKind.SIGN)):
        for name, post in office.posts.items():
            if name != "signer":
                serve(post)
    office = retire(office)
    office.work_to_the_end()
    (failed,) = office.jobs(JobState.FAILED)
    assert (failed.new.kind, failed.cause) == (JobKind.SIGN, Cause.UNTRUSTED_INPUT)
    assert "the request names attestation key" in failed.message
    code, said = ask(office.settings.state, office.settings.results, "jobs", "list", "--state", "failed", "--json")
    assert [job["new"]["target"] for job in json.loads(said)["jobs"]] == [failed.new.target]
    assert (code, office.published()) == (0, [])
    assert ask(office.settings.state, office.settings.results, "submit", failed.new.target)[0] == 0
    office.work_to_the_end()
    (result,) = office.published()
    assert check(result, [office.attester]).attester == office.attester.keyid


def test_a_signer_whose_key_is_gone_makes_no_other(farm: Path) -> None:
    """It ends with 4 and names the file, so that nobody finds himself with a new key."""
    there = f"http://127.0.0.1:{free_port()}"
    with process(farm / "signer", "worker", "sign", farm_coordinator=there) as signer:
        assert signer.program.wait(90) == 4
        text = signer.log.read_text()
    assert "attestation.pem" in text
    assert "Traceback" not in text
    assert not key_path(farm / "signer", Role.ATTESTATION).exists()


def test_compose_makes_a_new_attestation_key_when_both_copies_are_away(farm: Path) -> None:
    """One alone is the other's backup; with a new key the coordinator and the operator are told."""
    secret, own = farm / "secrets" / "attestation.pem", farm / "attestation"
    before, key = load_public_key(farm / "coordinator" / "attestation.pub"), secret.read_text()

    def make_up() -> None:
        farm_secrets.prepare(farm, builders=2, architecture="amd64", owner=os.geteuid())

    secret.unlink()
    make_up()
    assert secret.read_text() == key
    own.rename(farm / "attestation-old")
    secret.unlink()
    make_up()
    after = ensure_key(own, Role.ATTESTATION)
    assert after != before
    for reader in ("coordinator", "operator"):
        assert load_public_key(farm / reader / "attestation.pub") == after


def test_a_new_wake_up_key_is_fetched_by_enrolling_again(
    farm: Path, ledger: dict[str, str], postgres_database: Database, tmp_path: Path
) -> None:
    """Workers refuse what the new key signs, and say so in `status`, until they ask with a token; none is restarted."""
    api, at, workers = free_port(), datetime.now(UTC), Workers(postgres_database)
    base = f"http://127.0.0.1:{api}"
    with ExitStack() as stack:
        port = stack.enter_context(broker(farm, tmp_path / "redis"))
        settings = ledger | wakes(farm, port, "coordinator") | {"farm_sweep": "1 s", "farm_wake_again": "2 s"}
        words = ("coordinator", "--port", str(api))
        with process(farm / "coordinator", *words, **settings) as coordinator:
            coordinator.ready()
            woken = {"farm_coordinator": base, **wakes(farm, port, "compare")}
            comparer = stack.enter_context(process(farm / "comparer", *COMPARER, **woken))
            comparer.says("ready.")
            wait_for_end(postgres_database, owe(postgres_database, "before"), comparer)
        for suffix in (".pem", ".pub"):
            key_path(farm / "coordinator", Role.COORDINATOR).with_suffix(suffix).unlink()
        again = stack.enter_context(process(farm / "coordinator", *words, **settings))
        again.ready()
        number = owe(postgres_database, "after")
        assert refused(postgres_database, "wake-refused")
        assert Jobs(postgres_database).job(number).state is JobState.READY
        grant = Grant(roles=(JobKind.COMPARE,), fault_domain="here")
        (tmp_path / "token").write_text(workers.make_token(grant, at, expires=at + timedelta(hours=1)))
        enrol = ("enrol", "compare", "--name", "comparer", "--token-file", str(tmp_path / "token"))
        with process(farm / "comparer", *enrol, farm_coordinator=base) as enrolling:
            assert enrolling.program.wait(90) == 0, enrolling.log.read_text()
        assert load_public_key(farm / "comparer" / "coordinator.pub") == ensure_key(
            farm / "coordinator", Role.COORDINATOR
        )
        wait_for_end(postgres_database, number, comparer)


def test_a_stolen_broker_password_is_changed(farm: Path, tmp_path: Path) -> None:
    """A new one is made for the file that is away; started again, Redis takes no other. No user could have told it."""
    path = farm / "secrets" / "broker-rebuild"
    stolen = path.read_text().strip()
    with broker(farm, tmp_path / "redis") as port:
        thief = Redis(port=port, username="rebuild", password=stolen)
        assert thief.ping()
        with pytest.raises(NoPermissionError):
            thief.execute_command("ACL", "LOAD")  # type: ignore[no-untyped-call]
        thief.close()
    path.unlink()
    farm_secrets.prepare(farm, builders=2, architecture="amd64", owner=os.geteuid())
    with broker(farm, tmp_path / "again") as port:
        refused_now = Redis(port=port, username="rebuild", password=stolen)
        with pytest.raises(AuthenticationError):
            refused_now.ping()
        client = Redis(port=port, username="rebuild", password=path.read_text().strip())
        assert client.ping()
        client.close()
        refused_now.close()
