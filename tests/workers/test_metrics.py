"""Metrics: counted in the ledger for the coordinator, in the process for a worker."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from rebuilder.model.cause import Cause
from rebuilder.model.digest import Digest
from rebuilder.model.job import JobKind, NewJob, ResourceClass, Worker
from rebuilder.progress import Silent
from rebuilder.store.conclusions import Event, EventKind
from rebuilder.store.database import Database
from rebuilder.store.jobs import Jobs, Offer
from rebuilder.store.ledger import Ledger
from tests.store.conftest import dossier, rebuild
from workers.coordinator.metrics import LedgerMetrics
from workers.metrics import Disk, Rooms, Timed, WorkerMetrics

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
GUIDE = Path(__file__).resolve().parent.parent.parent / "docs" / "FARM.md"
BUILDER = Worker(
    keyid="b" * 64,
    pem="",
    name="builder",
    roles=(JobKind.REBUILD,),
    tags=("amd64",),
    resources=(ResourceClass.SMALL,),
    fault_domain="one",
    enrolled_at=NOON,
)


@pytest.fixture
def database(tmp_path: Path) -> Database:
    """Open an empty ledger."""
    return Database(tmp_path / "ledger.sqlite")


@pytest.fixture
def scrape(database: Database) -> Callable[[timedelta], str]:
    """Ask for the coordinator's metrics some time after noon."""

    def at(after: timedelta) -> str:
        registry = CollectorRegistry()
        registry.register(LedgerMetrics(database, lambda: NOON + after))
        return generate_latest(registry).decode()

    return at


def owe(jobs: Jobs, count: int) -> None:
    """Owe so many rebuilds at noon."""
    news = (
        NewJob(kind=JobKind.REBUILD, target=f"pkg:{number}", suite="trixie", name="demo", tags=("amd64",))
        for number in range(count)
    )
    jobs.add(news, NOON)


def test_queues_and_leases_are_counted(database: Database, scrape: Callable[[timedelta], str]) -> None:
    """Depth by class and state, the age of what waits, and of what is held."""
    jobs = Jobs(database)
    owe(jobs, 3)
    claimed = jobs.claim(Offer(worker=BUILDER, kind=JobKind.REBUILD), NOON, lease=timedelta(minutes=5))
    assert claimed is not None
    text = scrape(timedelta(minutes=2))
    assert 'rebuilder_jobs{kind="rebuild",resources="small",state="ready",tags="amd64"} 2.0' in text
    assert 'rebuilder_jobs{kind="rebuild",resources="small",state="leased",tags="amd64"} 1.0' in text
    assert 'rebuilder_oldest_ready_seconds{kind="rebuild"} 120.0' in text
    assert 'rebuilder_leases{kind="rebuild"} 1.0' in text
    assert 'rebuilder_oldest_lease_seconds{kind="rebuild"} 120.0' in text
    assert 'rebuilder_silent_lease_seconds{kind="rebuild"} 120.0' in text


def test_durations_and_endings_are_of_the_last_hour(database: Database, scrape: Callable[[timedelta], str]) -> None:
    """What was done and how long it took; what ended before the hour is not in it."""
    jobs = Jobs(database)
    owe(jobs, 2)
    for number, cause in enumerate((None, Cause.INFRASTRUCTURE)):
        lease = jobs.claim(Offer(worker=BUILDER, kind=JobKind.REBUILD), NOON, lease=timedelta(minutes=5))
        assert lease is not None
        at = NOON + timedelta(seconds=30 + number)
        if cause is None:
            jobs.complete(lease.job.id, lease.fence, BUILDER.keyid, output=Digest.of(b"x"), at=at)
        else:
            jobs.fail(lease.job.id, lease.fence, BUILDER.keyid, cause=cause, message="no engine", at=at)
    text = scrape(timedelta(minutes=5))
    assert 'rebuilder_recent_jobs{kind="rebuild"} 1.0' in text
    assert 'rebuilder_recent_job_seconds{kind="rebuild"} 30.0' in text
    assert 'rebuilder_recent_job_longest_seconds{kind="rebuild"} 30.0' in text
    assert 'rebuilder_recent_endings{ending="failed: infrastructure",kind="rebuild"} 1.0' in text
    assert "rebuilder_recent_jobs{" not in scrape(timedelta(hours=3))


def test_results_and_events_are_counted(database: Database, scrape: Callable[[timedelta], str]) -> None:
    """Outcomes of rebuilds, verdicts of artifacts, events by kind."""
    ledger = Ledger(database)
    ledger.next_ordinal(rebuild().plan, rebuild().builder, NOON)
    ledger.record_rebuild(rebuild())
    ledger.record_comparison(dossier(), "deb/demo")
    ledger.record_event(Event(kind=EventKind.WAKE_REFUSED, subject="task", detail="forged", at=NOON))
    text = scrape(timedelta())
    assert 'rebuilder_rebuilds{outcome="succeeded"} 1.0' in text
    assert 'rebuilder_verdicts{verdict="reproduced"} 1.0' in text
    assert 'rebuilder_events{kind="wake-refused"} 1.0' in text
    assert 'rebuilder_events{kind="builders-disagree"} 0.0' in text  # lest the first one is not seen to be a rise


def test_what_waits_for_workers_that_are_not_there_is_counted(
    database: Database, scrape: Callable[[timedelta], str]
) -> None:
    """Jobs of a tag that nobody has, and jobs whose quorum is of more fault domains than there are."""
    new = NewJob(kind=JobKind.PLAN, target="pkg:demo", suite="trixie", name="demo", quorum=2)
    Jobs(database).add((new,), NOON)
    owe(Jobs(database), 3)
    text = scrape(timedelta())
    assert 'rebuilder_unserved_jobs{kind="rebuild",resources="small",tags="amd64"} 3.0' in text
    assert 'rebuilder_quorum_unreachable_jobs{kind="plan",quorum="2",resources="",tags=""} 1.0' in text


def test_a_worker_times_its_jobs() -> None:
    """A job that raises is counted as failed, and what it raised goes on."""
    registry = CollectorRegistry()
    metrics = WorkerMetrics(registry)
    with metrics.job(JobKind.SIGN):
        pass
    with pytest.raises(ValueError, match="broken"), metrics.job(JobKind.SIGN):
        raise ValueError("broken")
    for ending in ("done", "failed"):
        assert registry.get_sample_value("rebuilder_job_seconds_count", {"kind": "sign", "ending": ending}) == 1


def test_phases_are_timed_as_they_are_told() -> None:
    """A phase lasts until the next one begins or the job is over; who listens behind hears the same."""
    registry = CollectorRegistry()
    ticks = iter((10.0, 14.0, 14.0, 20.0))
    heard: list[str] = []

    class Listener(Silent):
        def phase(self, target: str, name: str, detail: str = "") -> None:
            heard.append(name)

    timed = Timed(Listener(), WorkerMetrics(registry), clock=lambda: next(ticks))
    timed.phase("demo", "fetch")
    timed.phase("demo", "build")
    timed.advance("demo", 1, None, "files")
    timed.note("demo", "half")
    timed.finish()
    timed.finish()
    assert heard == ["fetch", "build"]
    sums = {
        name: registry.get_sample_value("rebuilder_phase_seconds_sum", {"phase": name}) for name in ("fetch", "build")
    }
    assert sums == {"fetch": 4.0, "build": 6.0}


def test_caches_and_disks(tmp_path: Path) -> None:
    """Hits and misses by cache; a directory's budget, use and room; one that is not there uses nothing.

    What nothing bounds is not added up.
    """
    registry = CollectorRegistry()
    metrics = WorkerMetrics(registry)
    metrics.cache("blobs", hit=True)
    metrics.cache("blobs", hit=False)
    (tmp_path / "file").write_bytes(b"x" * 10_000)
    metrics.disk(Disk(name="blobs", path=tmp_path, budget_bytes=5))
    metrics.disk(Disk(name="gone", path=tmp_path / "gone", budget_bytes=5))
    metrics.disk(Disk(name="results", path=tmp_path))
    assert registry.get_sample_value("rebuilder_cache_total", {"cache": "blobs", "answer": "hit"}) == 1
    assert registry.get_sample_value("rebuilder_disk_budget_bytes", {"directory": "blobs"}) == 5
    assert (registry.get_sample_value("rebuilder_disk_used_bytes", {"directory": "blobs"}) or 0) >= 10_000
    assert registry.get_sample_value("rebuilder_disk_used_bytes", {"directory": "gone"}) == 0
    assert registry.get_sample_value("rebuilder_disk_free_bytes", {"directory": "gone"}) is None
    assert registry.get_sample_value("rebuilder_disk_used_bytes", {"directory": "results"}) is None
    assert (registry.get_sample_value("rebuilder_disk_free_bytes", {"directory": "results"}) or 0) > 0


def test_a_coordinators_disks(tmp_path: Path) -> None:
    """What is left of each disk is asked at the scrape, of a directory that will be made too; nothing is walked."""
    registry = CollectorRegistry()
    registry.register(Rooms({"cache": tmp_path, "blobs": tmp_path / "gone"}))
    for name in ("cache", "blobs"):
        assert (registry.get_sample_value("rebuilder_disk_free_bytes", {"directory": name}) or 0) > 0


def test_the_age_of_a_sync_is_counted(database: Database, scrape: Callable[[timedelta], str]) -> None:
    """By archive and suite, since its signed index was read last."""
    Ledger(database).observe_index("debian", "trixie", date=NOON, document=Digest.of(b"x"), at=NOON)
    text = scrape(timedelta(hours=1))
    assert 'rebuilder_index_seen_seconds{archive="debian",suite="trixie"} 3600.0' in text


def test_the_guide_lists_every_metric(database: Database) -> None:
    """Each name that can be scraped is in the table of docs/FARM.md, and each name there can be scraped."""
    registry = CollectorRegistry()
    WorkerMetrics(registry)
    registry.register(LedgerMetrics(database, lambda: NOON))
    scraped = {family.name + ("_total" if family.type == "counter" else "") for family in registry.collect()}
    listed = set(re.findall(r"^\| `(rebuilder_\w+)`", GUIDE.read_text(), re.MULTILINE))
    assert listed == scraped
