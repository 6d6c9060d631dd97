"""What `status` says of refusals and of long messages."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from rebuilder.attest.keys import Role
from rebuilder.attest.keystore import ensure_key
from rebuilder.model.cause import Cause
from rebuilder.model.job import JobKind
from rebuilder.store.claiming import Offer
from rebuilder.store.conclusions import Event, EventKind
from rebuilder.store.jobs import Jobs
from rebuilder.store.ledger import Ledger
from rebuilder.store.workers import Grant, Workers
from tests.workers.verbs.conftest import Person
from tests.workers.verbs.test_verbs import GREETER, ledger

Ask = Callable[..., Any]


def test_refusals_are_counted_by_their_reason(ask: Ask, config: Path) -> None:
    """Numbers, days, key ids and digests make no reason another one; a worker's name does, and so do other words.

    Who writes reasons of his own is counted together after the third, and hides nobody else's.
    """
    details = [
        "job 5: worker builder-1 (00112233aabbccdd) sent 1.5 GiB at 2026-11-24 12:00:09",
        "job 77: worker builder-1 (99112233aabbccdd) sent 23 GiB at 2026-11-23 01:00:00",
        "job 5: worker builder-2 (00112233aabbccdd) sent 1.5 GiB at 2026-11-24 12:00:09",
        f"blob: expected sha256:{'a1' * 32}, found sha256:{'b2' * 32}",
        f"blob: expected sha256:{'c3' * 32}, found sha256:{'d4' * 32}",
        *(f"invented {word}" for word in ("one", "two", "three", "four")),
    ]
    recorded, at = Ledger(ledger(config)), datetime.now(UTC)
    for subject, said in (("quiet", details[:1]), ("loud", details)):
        for detail in said:
            recorded.record_event(Event(kind=EventKind.REPORT_REFUSED, subject=subject, detail=detail, at=at))
    refusals = [(each["subject"], each["count"], each["detail"]) for each in ask("status")["refusals"]]
    assert refusals == [
        ("quiet", 1, details[0]),
        ("loud", 2, details[1]),
        ("loud", 1, details[2]),
        ("loud", 2, details[4]),
        ("loud", 4, "invented four"),
    ]


def test_status_shortens_what_somebody_wrote_long(ask: Ask, person: Person, config: Path) -> None:
    """Of a failed job and of an event both ends of a long message, and who has all of it; `--json` has it whole."""
    said, where = "begin " + "x" * 800 + " end", ("`rebuilder jobs show JOB`", "`rebuilder ledger events`")
    ask("submit", GREETER)
    out = person("status", "--config", config)[1]
    assert not any(words in out for words in where)
    database, at = ledger(config), datetime.now(UTC)
    workers, jobs = Workers(database), Jobs(database)
    key = ensure_key(config.parent / "key", Role.BUILDER)
    grant = Grant(roles=(JobKind.PLAN,), fault_domain="cellar")
    worker = workers.enrol(workers.make_token(grant, at, expires=at + timedelta(hours=1)), key, "one", at)
    lease = jobs.claim(Offer(worker=worker, kind=JobKind.PLAN), at, lease=timedelta(minutes=1))
    assert lease is not None
    jobs.fail(lease.job.id, lease.job.fence, key.keyid, cause=Cause.UNTRUSTED_INPUT, message=said, at=at)
    for kind in (EventKind.REPORT_REFUSED, EventKind.ARTIFACT_CHANGED):
        Ledger(database).record_event(Event(kind=kind, subject="one", detail=said, at=at))
    out = person("status", "--config", config)[1]
    assert [out.count(words) for words in ("begin x", "x end", *where)] == [3, 3, 1, 1]
    assert max(map(len, out.splitlines())) < 300
    status = ask("status")
    assert {status["failed"][0]["message"], status["refusals"][0]["detail"], status["events"][0]["detail"]} == {said}
    assert person("jobs", "show", str(lease.job.id), "--config", config)[1].count("x") >= 800
    assert person("ledger", "events", "--config", config)[1].count("x") >= 1600
