"""Prometheus metrics. The coordinator's are counted in the ledger when they are asked for; a worker's are its own.

Names and labels are listed in docs/FARM.md, "Metrics and alerts": a test compares the two.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from rebuilder.model.job import JobKind
from rebuilder.progress import Progress
from rebuilder.store.database import Database
from rebuilder.store.measured import Count, Measured, measure

WINDOW = timedelta(hours=1)
_SECONDS = (0.1, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400)


class LedgerMetrics(Collector):
    """What is owed, who holds it, and what came of it."""

    def __init__(self, database: Database, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now

    def describe(self) -> list[Metric]:
        """Nothing is read before somebody asks."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Count now; raise StorageFailure, and so answer nothing, when the ledger does not."""
        found = measure(self._database, self._now(), window=WINDOW)
        yield from _of_jobs(found)
        yield from _of_recent_jobs(found)
        yield _gauge("rebuilds", "Rebuilds by outcome.", ("outcome",), found.outcomes)
        yield _gauge("verdicts", "Artifacts concluded upon, by verdict.", ("verdict",), found.verdicts)
        yield _gauge("events", "Events that somebody must look at, by kind.", ("kind",), found.events)
        yield _gauge("workers", "Enrolled workers by standing.", ("standing",), found.workers)


def _of_jobs(found: Measured) -> Iterator[Metric]:
    labels = ("kind", "resources", "tags", "state")
    yield _gauge("jobs", "Jobs by queue and state.", labels, found.jobs)
    oldest = GaugeMetricFamily("rebuilder_oldest_ready_seconds", "Age of the oldest ready job.", labels=["kind"])
    for kind, seconds in found.oldest_ready_s:
        oldest.add_metric([kind], seconds)
    yield oldest
    held = GaugeMetricFamily("rebuilder_leases", "Leases alive.", labels=["kind"])
    age = GaugeMetricFamily("rebuilder_oldest_lease_seconds", "Age of the oldest lease.", labels=["kind"])
    silent = GaugeMetricFamily("rebuilder_silent_lease_seconds", "Time since the latest heartbeat.", labels=["kind"])
    for each in found.held:
        held.add_metric([each.kind], each.count)
        age.add_metric([each.kind], each.oldest_s)
        silent.add_metric([each.kind], each.silent_s)
    yield from (held, age, silent)


def _of_recent_jobs(found: Measured) -> Iterator[Metric]:
    count = GaugeMetricFamily("rebuilder_recent_jobs", "Jobs done in the last hour.", labels=["kind"])
    total = GaugeMetricFamily("rebuilder_recent_job_seconds", "Time these took in all.", labels=["kind"])
    longest = GaugeMetricFamily("rebuilder_recent_job_longest_seconds", "The longest of these.", labels=["kind"])
    for each in found.durations:
        count.add_metric([each.kind], each.count)
        total.add_metric([each.kind], each.sum_s)
        longest.add_metric([each.kind], each.longest_s)
    yield from (count, total, longest)
    yield _gauge("recent_endings", "Leases that ended in the last hour.", ("kind", "ending"), found.endings)


def _gauge(name: str, text: str, labels: tuple[str, ...], counts: tuple[Count, ...]) -> Metric:
    family = GaugeMetricFamily(f"rebuilder_{name}", text, labels=labels)
    for each in counts:
        family.add_metric(each.words, each.count)
    return family


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """A directory with a budget."""

    name: str
    path: Path
    budget_bytes: int


class WorkerMetrics:
    """What one worker process counts about itself."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._jobs = Histogram(
            "rebuilder_job_seconds",
            "Time of one job in this worker; of kind `sign` it is the signer's latency.",
            ("kind", "ending"),
            buckets=_SECONDS,
            registry=registry,
        )
        self._phases = Histogram(
            "rebuilder_phase_seconds", "Time of one phase of a job.", ("phase",), buckets=_SECONDS, registry=registry
        )
        self._cache = Counter("rebuilder_cache", "Answers of a cache.", ("cache", "answer"), registry=registry)
        self._budget = Gauge(
            "rebuilder_disk_budget_bytes", "Disk budget.", ("directory",), registry=registry, multiprocess_mode="max"
        )
        self._used = Gauge(
            "rebuilder_disk_used_bytes", "Disk in use.", ("directory",), registry=registry, multiprocess_mode="max"
        )
        self._free = Gauge(
            "rebuilder_disk_free_bytes",
            "Free space of its disk.",
            ("directory",),
            registry=registry,
            multiprocess_mode="max",
        )

    @contextmanager
    def job(self, kind: JobKind) -> Iterator[None]:
        """Time one job; whatever it raises is counted as `failed` and goes on."""
        started, ending = time.monotonic(), "failed"
        try:
            yield
            ending = "done"
        finally:
            self._jobs.labels(kind, ending).observe(time.monotonic() - started)

    def phase(self, name: str, seconds: float) -> None:
        """Note that a phase of a job ended."""
        self._phases.labels(name).observe(seconds)

    def cache(self, name: str, *, hit: bool) -> None:
        """Note what a cache answered."""
        self._cache.labels(name, "hit" if hit else "miss").inc()

    def disk(self, disk: Disk) -> None:
        """Measure a directory; one that is not there, or vanishes meanwhile, uses nothing."""
        used = 0
        for path in disk.path.rglob("*") if disk.path.is_dir() else ():
            try:
                used += path.lstat().st_blocks * 512
            except OSError:
                continue
        self._budget.labels(disk.name).set(disk.budget_bytes)
        self._used.labels(disk.name).set(used)
        if disk.path.is_dir():
            self._free.labels(disk.name).set(shutil.disk_usage(disk.path).free)


def gathered(registry: CollectorRegistry) -> CollectorRegistry:
    """Give the registry that a scrape reads: of all processes of a worker where PROMETHEUS_MULTIPROC_DIR says so."""
    whole = CollectorRegistry()
    try:
        MultiProcessCollector(whole)  # type: ignore[no-untyped-call]
    except ValueError:
        return registry
    return whole


class Timed:
    """A listener that times the phases of one job, and passes everything on (`rebuilder.progress.Progress`)."""

    def __init__(self, progress: Progress, metrics: WorkerMetrics, clock: Callable[[], float] = time.monotonic) -> None:
        self._progress = progress
        self._metrics = metrics
        self._clock = clock
        self._phase: tuple[str, float] | None = None

    def phase(self, target: str, name: str, detail: str = "") -> None:
        """See Progress.phase. A phase ends when the next one begins."""
        self.finish()
        self._phase = (name, self._clock())
        self._progress.phase(target, name, detail)

    def advance(self, target: str, done: int, total: int | None, unit: str) -> None:
        """See Progress.advance."""
        self._progress.advance(target, done, total, unit)

    def note(self, target: str, message: str) -> None:
        """See Progress.note."""
        self._progress.note(target, message)

    def finish(self) -> None:
        """End the last phase: call it when the job is over."""
        if self._phase is not None:
            name, since = self._phase
            self._metrics.phase(name, self._clock() - since)
            self._phase = None
