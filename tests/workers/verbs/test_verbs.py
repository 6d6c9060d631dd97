"""The farm's other verbs, end to end on a ledger of the test's own."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from rebuilder.attest.keys import Role
from rebuilder.attest.keystore import ensure_key
from rebuilder.errors import SignatureRefused
from rebuilder.model.digest import Digest
from rebuilder.model.job import JobKind, NewJob
from rebuilder.store.claiming import Offer
from rebuilder.store.conclusions import Event, EventKind
from rebuilder.store.database import Database
from rebuilder.store.jobs import Jobs, Selection
from rebuilder.store.ledger import Ledger
from rebuilder.store.workers import Grant, Workers
from tests.archive.frozen import FrozenArchive
from tests.store.owing import NOON, new, opened
from tests.workers.verbs.conftest import Person, write_config
from workers.starting import enrol_members

Ask = Callable[..., Any]
GREETER, EPOCHAL = "deb:trixie/greeter", "deb:trixie/epochal=1:2.0-1"


def ledger(config: Path) -> Database:
    """Open the ledger that the verbs use."""
    return Database(config.parent / "state" / "ledger.sqlite")


def test_a_submitted_release_is_owed_first(ask: Ask) -> None:
    """By its canonical name, once; before what a sync found, and in the order of the person's own numbers."""
    ask("sync", "deb:trixie-security")
    assert ask("submit", GREETER, EPOCHAL, "--quorum", "2", "--priority", "5")["submitted"][1]["target"] == (
        "pkg:deb/debian/epochal@1:2.0-1?arch=source&distro=trixie"
    )
    ask("submit", "deb:trixie/twice", "--priority", "-5")
    assert ask("submit", GREETER)["submitted"][0]["job"] is None
    jobs = ask("jobs", "list")["jobs"]
    assert [job["new"]["name"] for job in jobs[:3]] == ["twice", "greeter", "epochal"]
    assert [job["new"]["quorum"] for job in jobs[:3]] == [1, 2, 2]


def test_jobs_obey(ask: Ask, person: Person, config: Path) -> None:
    """Held, released, cancelled, retried, reordered: each says how many, and the list shows it."""
    ask("submit", GREETER, EPOCHAL)
    first = str(ask("jobs", "list", "--name", "greeter")["jobs"][0]["id"])
    assert ask("jobs", "hold", first, "--reason", "not today")["changed"] == 1
    shown = ask("jobs", "show", first)["job"]
    assert (shown["state"], shown["message"]) == ("held", "not today")
    assert ask("jobs", "release", "--all")["changed"] == 1
    assert ask("jobs", "cancel", "--suite", "trixie", "--reason", "moved")["changed"] == 2
    assert [job["message"] for job in ask("jobs", "list", "--state", "cancelled")["jobs"]] == ["moved", "moved"]
    assert ask("jobs", "retry", "--kind", "plan")["changed"] == 2
    assert ask("jobs", "priority", "--to", "-7", first)["changed"] == 1
    code, out, _ = person("jobs", "list", "--config", config)
    assert code == 0
    assert out.splitlines()[1].split()[:4] == [first, "plan", "ready", "by-hand"]
    assert "plan pkg:deb/debian/greeter" in person("jobs", "show", first, "--config", config)[1]


def test_a_job_that_cannot_count_any_more_is_not_retried(person: Person, config: Path) -> None:
    """It is said, counted, and what to do instead."""
    jobs = Jobs(ledger(config))
    case = opened(ledger(config), jobs)
    number, _ = jobs.add([new(case=case), new(case=case, kind=JobKind.SIGN)], NOON)
    jobs.cancel(Selection(jobs=(number,)), NOON, reason="failed")
    code, out, err = person("jobs", "retry", str(number), "--config", config)
    assert (code, out) == (0, "0 jobs owed again\n")
    assert "1 job left alone: what is published of the case is decided" in err
    assert "`rebuilder submit TARGET`" in err


def test_a_block_of_the_settings_holds(ask: Ask, person: Person, config: Path, standard_archive: FrozenArchive) -> None:
    """What waited before the rule came is not released in spite of it, nor by the end of a block of the ledger."""
    ask("submit", GREETER, EPOCHAL)
    ask("jobs", "hold", "--name", "greeter")
    rule = '[[farm.packages]]\npattern = "greeter"\nblock = "asks for the moon"\n'
    write_config(config.parent, standard_archive, rule)
    code, out, err = person("jobs", "release", "--all", "--config", config)
    assert (code, out) == (0, "0 jobs released\n")
    assert "1 job left alone: the package is blocked" in err
    assert ask("block", "add", "*", "--reason", "all")["held"] == 1
    assert ask("block", "remove", "*")["freed"] == 1
    states = {job["new"]["name"]: job["state"] for job in ask("jobs", "list")["jobs"]}
    assert states == {"greeter": "held", "epochal": "ready"}


def test_a_list_shortens_messages(ask: Ask, person: Person, config: Path) -> None:
    """A long message does not flood `jobs list`; `jobs show` has all of it."""
    ask("submit", GREETER)
    ask("jobs", "hold", "--all", "--reason", "x" * 900)
    assert 100 < person("jobs", "list", "--config", config)[1].count("x") < 200
    assert person("jobs", "show", "1", "--config", config)[1].count("x") >= 900


def test_what_nobody_could_plan_is_not_owed(person: Person, config: Path) -> None:
    """An architecture and a suite that nobody plans for owe nothing, also of what was named beside them."""
    for strange in ("pkg:deb/debian/greeter?arch=arm64&distro=trixie", "deb:forky/greeter"):
        code, _, err = person("submit", GREETER, strange, "--config", config)
        assert (code, "hint: " in err) == (2, True), err
    for known in ("amd64", "all", "source"):
        target = f"pkg:deb/debian/{known}?arch={known}&distro=trixie"
        assert person("submit", target, "--config", config)[0] == 0
    assert person("jobs", "list", "--config", config)[1].count("plan") == 3


def test_a_suite_is_asked_for_once(person: Person, tmp_path: Path, standard_archive: FrozenArchive) -> None:
    """Where no archive answers nothing is refused, but said; of a suite that is known by then, nobody is asked."""
    config = write_config(tmp_path, standard_archive)
    silent = config.read_text("utf-8").replace("file://", "http://127.0.0.1:1")
    config.write_text(silent)
    code, out, err = person("submit", GREETER, "--config", config)
    assert (code, out.endswith(": job 1\n")) == (0, True)
    assert "note: deb:trixie: whether there is such a suite could not be asked" in err
    assert person("submit", EPOCHAL, "--config", config)[2] == ""
    config.write_text(silent.replace('suites = ["*"]', 'suites = ["bookworm"]'))
    code, _, err = person("submit", "deb:sid/greeter", "--config", config)
    assert (code, "no configured archive carries the suite sid" in err) == (2, True)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("jobs", "cancel"), "which jobs? Nothing was selected"),
        (("jobs", "show", "77"), "no job 77"),
        (("jobs", "hold", "77"), "no job 77"),
        (("jobs", "show", "3000000000"), "no job 3000000000"),
        (("jobs", "retry", "9" * 30), "no job 999"),
        (("jobs", "release", "--state", "done"), "only held jobs are released"),
        (("jobs", "list", "--state", "sleeping"), "'sleeping' is not one of"),
        (("jobs", "priority", "1", "--to", "5000"), "5000 is not in the range"),
        (("submit", "deb:trixie"), "not a Debian target"),
        (("submit", "rpm:rawhide/bash"), "no origin for the ecosystem 'rpm'"),
        (("submit", "pkg:deb/debian/greeter?arch=arm64&distro=trixie"), "expected the architectures amd64 and all"),
        (("submit", "deb:forky/greeter"), "no configured mirror of debian has a suite forky"),
        (("workers", "revoke", "ab"), "expected the key of one worker, found 0"),
        (("workers", "token", "--role", "rebuild", "--domain", "a b"), "a word without comma"),
        (("workers", "token", "--role", "rebuild", "--domain", "a", "--expires", "soon"), "--expires"),
        (("block", "add", "UPPER", "--reason", "x"), "expected a package's name"),
        (("block", "add", "x", "--reason", " "), "a block without a reason"),
        (("block", "remove", "x"), "no block 'x'"),
        (("statos",), "did you mean status?"),
    ],
)
def test_what_cannot_be_done(words: tuple[str, ...], message: str, person: Person, config: Path) -> None:
    """Exit code 2, the reason, and what to do."""
    more = () if words == ("statos",) else ("--config", config)
    code, _, err = person(*words, *more)
    assert (code, message in err, "hint: " in err) == (2, True, True), err


def test_workers_come_and_go(ask: Ask, person: Person, config: Path) -> None:
    """A token enrols one key with its scope; draining gives it nothing, revoking shuts it out."""
    token = ask("workers", "token", "--role", "plan", "--domain", "cellar", "--tag", "amd64", "--expires", "2 h")[
        "token"
    ]
    ask("submit", GREETER)
    workers, at = Workers(ledger(config)), datetime.now(UTC)
    key = ensure_key(config.parent / "key", Role.BUILDER)
    workers.enrol(token, key, "one", at)
    assert [(w["name"], w["fault_domain"]) for w in ask("workers", "list")["workers"]] == [("one", "cellar")]
    assert ask("drain") == {"draining": True, "workers": 1, "leased": 0}

    def claims() -> bool:
        found = workers.find(key.keyid)
        assert found is not None
        lease = timedelta(minutes=1)
        return Jobs(ledger(config)).claim(Offer(worker=found, kind=JobKind.PLAN), at, lease=lease) is not None

    assert not claims()
    code, out, err = person("workers", "drain", key.keyid[:8], "--undo", "--config", config)
    assert (code, out) == (0, "one drains\n")
    assert "the whole farm drains" in err
    ask("workers", "drain", key.keyid[:8])
    code, out, err = person("drain", "--undo", "--config", config)
    assert (code, out) == (0, "0 workers: get work again; leased now: 0 jobs\n")
    assert "still drain: one" in err
    assert not claims()
    assert "draining" in person("workers", "list", "--config", config)[1]
    ask("workers", "drain", key.keyid[:8], "--undo")
    assert claims()
    assert ask("status")["backlog"]["by_state"] == [["leased", 1]]
    assert ask("workers", "revoke", key.keyid[:8]) == {"revoked": key.keyid}
    assert "revoked" in person("workers", "list", "--config", config)[1]


def test_a_revoked_key_stays_out_of_a_ledger_that_is_made_anew(ask: Ask, config: Path) -> None:
    """Neither the member's file nor a token enrols it in a ledger that was never told, made from the results."""
    key = ensure_key(config.parent / "builder", Role.BUILDER)
    member = {"name": "builder-1", "pem": key.pem, "roles": ["rebuild"], "tags": [], "fault_domain": "a"}
    (config.parent / "members").mkdir()
    (config.parent / "members" / "builder-1.json").write_text(json.dumps(member | {"resources": ["small"]}))
    assert enrol_members(config.parent / "members", Workers(ledger(config))) == ("builder-1",)
    ask("workers", "revoke", key.keyid)
    for path in (config.parent / "state").glob("ledger.sqlite*"):
        path.unlink()
    (config.parent / "results").mkdir(exist_ok=True)
    ask("ledger", "rebuild")
    assert enrol_members(config.parent / "members", Workers(ledger(config))) == ()
    assert [(each["name"], each["revoked_at"] is None) for each in ask("workers", "list")["workers"]] == [
        ("builder-1", False)
    ]


def test_an_unused_token_is_taken_back(ask: Ask, person: Person, config: Path) -> None:
    """Said when it is made, listed as long as it is good, revoked as a worker is; a used one is its worker's affair."""
    words = ("workers", "token", "--role", "rebuild", "--domain", "cellar", "--config", config)
    _, secret, err = person(*words)
    name = Digest.of(secret.strip().encode()).hex[:16]
    assert f"or `rebuilder workers revoke {name}`" in err
    line = person("workers", "list", "--config", config)[1].splitlines()[1]
    assert (line.split()[:3], line.split()[-3:]) == ([name, "token", "until"], ["rebuild", "cellar", "-"])
    assert secret.strip() not in line
    assert person("workers", "revoke", name, "--config", config) == (0, f"revoked token {name}: nobody used it\n", "")
    assert ask("workers", "list") == {"workers": [], "tokens": []}
    workers, at = Workers(ledger(config)), datetime.now(UTC)
    key = ensure_key(config.parent / "key", Role.BUILDER)
    with pytest.raises(SignatureRefused):
        workers.enrol(secret.strip(), key, "one", at)
    made = ask("workers", "token", "--role", "rebuild", "--domain", "cellar")
    assert ask("workers", "revoke", made["digest"]) == {"revoked": made["digest"]}
    made = ask("workers", "token", "--role", "rebuild", "--domain", "cellar")
    workers.enrol(made["token"], key, "one", at)
    code, _, err = person("workers", "revoke", made["digest"], "--config", config)
    assert (code, "`rebuilder workers list` shows them" in err) == (2, True)


def test_status_shows_what_somebody_must_know(ask: Ask, person: Person, config: Path) -> None:
    """Backlog, workers, pauses, quotas and blocks; and an empty farm is no error."""
    assert "no jobs" in person("status", "--config", config)[1]
    ask("sync", "deb:trixie")
    ask("suites", "pause", "trixie", "--reason", "moving")
    ask("suites", "quota", "trixie", "4")
    assert ask("block", "add", "gre*", "--reason", "too loud")["held"] == 1
    _, out, _ = person("status", "--config", config)
    for words in (
        "ready",
        "paused  trixie: moving",
        "quota   trixie: 4",
        "blocked gre*: too loud",
        "held",
        "workers: 0",
    ):
        assert words in out
    ask("suites", "resume", "trixie")
    ask("suites", "quota", "trixie")
    assert ask("block", "remove", "gre*")["freed"] == 1
    status = ask("status")
    assert (status["blocks"], status["suites"]) == ([], [{"suite": "trixie", "paused": None, "quota": None}])
    assert person("suites", "list", "--config", config)[0] == person("block", "list", "--config", config)[0] == 0


def test_status_names_who_ails_and_what_nobody_does(ask: Ask, person: Person, config: Path) -> None:
    """A tag that nobody has, a worker that is silent and loses its leases, and who was refused how often."""
    ask("submit", GREETER)
    assert ask("status")["unserved"] == [{"kind": "plan", "resources": "small", "tags": [], "jobs": 1}]
    database, at = ledger(config), datetime.now(UTC)
    workers, jobs = Workers(database), Jobs(database)
    key = ensure_key(config.parent / "key", Role.BUILDER)
    grant = Grant(roles=(JobKind.PLAN, JobKind.REBUILD), fault_domain="cellar", tags=("amd64",))
    worker = workers.enrol(workers.make_token(grant, at, expires=at + timedelta(hours=1)), key, "slow", at)
    assert ask("status")["unserved"] == []
    new = NewJob(
        kind=JobKind.REBUILD, target="pkg:deb/debian/cuda@1", suite="trixie", name="cuda", tags=("amd64", "gpu")
    )
    jobs.add([new], at)
    before = at - timedelta(minutes=30)
    assert jobs.claim(Offer(worker=worker, kind=JobKind.PLAN), before, lease=timedelta(minutes=1)) is not None
    assert len(jobs.expire(at)) == 1
    for number in range(7):
        detail = f"a request with nonce {number} came before"
        Ledger(database).record_event(Event(kind=EventKind.WORKER_REFUSED, subject="0123abcd", detail=detail, at=at))
    detail = "signed at 2026-11-24 12:00:09, expected within 0:05:00 of 2026-11-24 14:10:11"
    Ledger(database).record_event(Event(kind=EventKind.WORKER_REFUSED, subject="0123abcd", detail=detail, at=at))
    event = Event(kind=EventKind.UPLOAD_REFUSED, subject="slow", detail="expected at most 1 GiB", at=at)
    Ledger(database).record_event(event)
    Ledger(database).record_event(replace(event, detail="long ago", at=at - timedelta(days=2)))
    _, out, _ = person("status", "--config", config)
    for words in (
        "no worker for 1 ready job: rebuild small amd64 gpu",
        f"ailing  slow ({key.keyid[:16]}): never heard of, in a day 1 lease expired, 0 failed",
        "refused 7 times in a day: worker-refused  0123abcd: a request with nonce 6 came before",
        f"refused 1 time in a day: worker-refused  0123abcd: {detail}",
        "refused 1 time in a day: upload-refused  slow: expected at most 1 GiB",
    ):
        assert words in out
    workers.revoke(key.keyid, at)
    assert ask("status")["ailing"] == []


def test_a_quorum_that_cannot_be_reached_is_said(ask: Ask, person: Person, config: Path) -> None:
    """By `submit` and `sync` when it is asked for, with what to do, and by `status` as long as something waits."""
    code, out, err = person("submit", GREETER, "--quorum", "2", "--config", config)
    assert (code, out.splitlines()[0].endswith(": job 1")) == (0, True)
    for words in (
        "note: greeter: a quorum of 2 cannot be reached now: live builders for small in 0 fault domains; the rebuilds",
        "hint: enrol builders in other fault domains (`rebuilder workers token --role rebuild --domain WORD`)",
    ):
        assert words in err
    assert ask("submit", EPOCHAL, "--quorum", "2")["submitted"][0]["too_few_domains"] == {"live": 0, "enrolled": 0}
    assert ask("sync", "deb:trixie-security", "--quorum", "2")["too_few_domains"] == {"live": 0, "enrolled": 0}
    assert (
        "quorum  4 plan jobs waiting for 2 fault domains: live builders in 0 fault domains"
        in (person("status", "--config", config)[1])
    )
    workers, at = Workers(ledger(config)), datetime.now(UTC)
    for name in ("one", "two"):
        key = ensure_key(config.parent / name, Role.BUILDER)
        grant = Grant(roles=(JobKind.REBUILD,), fault_domain=name, tags=("amd64",))
        workers.enrol(workers.make_token(grant, at, expires=at + timedelta(hours=1)), key, name, at)
    assert "in 0 fault domains, silent ones in 2 more" in person("status", "--config", config)[1]
    for worker in workers.every():
        workers.seen(worker.keyid, at)
    assert ask("status")["unreachable"] == []
    assert ask("submit", "deb:trixie/twice", "--quorum", "2")["submitted"][0]["too_few_domains"] is None
    assert ask("submit", "deb:trixie/noarch")["submitted"][0]["too_few_domains"] is None


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("jobs", "list"), "no jobs\n"),
        (("jobs", "list", "--suite", "trixie"), "no such jobs: `rebuilder jobs list` shows all\n"),
        (("workers", "list"), "no worker ever enrolled: `rebuilder workers token` is how one does\n"),
        (("suites", "list"), "no suite is paused or has a quota\n"),
        (("block", "list"), "no package is blocked here\n"),
        (("ledger", "events"), "no events\n"),
        (("drain",), "0 workers: get nothing new; --undo gives them work again; leased now: 0 jobs\n"),
    ],
    ids=lambda words: "-".join(words).replace("--", "") if isinstance(words, tuple) else None,
)
def test_nothing_is_said_in_words(words: tuple[str, ...], says: str, person: Person, config: Path) -> None:
    """A table without a row would be a riddle."""
    assert person(*words, "--config", config) == (0, says, "")


def test_what_changes_nothing_says_why(person: Person, config: Path) -> None:
    """What a verb can change, on stderr; and a suite that nobody has heard of may be a wrong name."""
    person("submit", GREETER, "--config", config)
    code, out, err = person("jobs", "release", "1", "--config", config)
    assert (code, out, "nothing was changed: none of these is held" in err) == (0, "0 jobs released\n", True)
    assert person("jobs", "hold", "1", "--config", config) == (0, "1 job held\n", "")
    assert "only what is ready or waiting is held" in person("jobs", "hold", "1", "--config", config)[2]
    assert person("jobs", "release", "1", "--config", config)[1] == "1 job released\n"
    assert "nothing of a suite trixy was" in person("suites", "pause", "trixy", "--config", config)[2]
    assert person("suites", "pause", "trixie", "--config", config)[2] == ""


def test_what_follows_from_a_token_and_from_a_revocation_is_said(person: Person, ask: Ask, config: Path) -> None:
    """The token alone is on stdout; a signer, who is not told, has to be."""
    words = ("workers", "token", "--role", "rebuild", "--domain", "cellar", "--config", config)
    _, out, err = person(*words)
    assert len(out.splitlines()) == 1
    assert "`python -m workers enrol rebuild --name NAME --token-file FILE`" in err
    key = ensure_key(config.parent / "key", Role.BUILDER)
    Workers(ledger(config)).enrol(out.strip(), key, "one", datetime.now(UTC))
    _, out, _ = person("workers", "revoke", key.keyid[:8], "--config", config)
    assert f"at the signer, as well: `rebuilder keys unenrol builder {key.keyid[:16]}`" in out


def test_a_newer_ledger_is_refused(person: Person, config: Path) -> None:
    """By its number; nothing is written to it."""
    ledger(config)
    with sqlite3.connect(config.parent / "state" / "ledger.sqlite") as connection:
        connection.execute("PRAGMA user_version = 999")
    code, _, err = person("status", "--config", config)
    assert (code, "found 999" in err, "a newer rebuilder made it" in err) == (4, True, True)
