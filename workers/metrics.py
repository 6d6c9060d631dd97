"""What a worker counts about itself, as Prometheus metrics; the coordinator's are in `workers.coordinator.metrics`.

Names and labels are listed in docs/FARM.md, "Metrics and alerts": a test compares the two.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from rebuilder.model.job import JobKind
from rebuilder.progress import Progress

_SECONDS = (0.1, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400)


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """A directory, and what it may use."""

    name: str
    path: Path
    budget_bytes: int | None = None
    """None where nothing bounds it but its disk."""


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
        """Measure a directory; what one without a budget uses is not counted, for it may be large."""
        if disk.budget_bytes is not None:
            self._budget.labels(disk.name).set(disk.budget_bytes)
            self._used.labels(disk.name).set(_used(disk.path))
        if disk.path.is_dir():
            self._free.labels(disk.name).set(shutil.disk_usage(disk.path).free)


def _used(directory: Path) -> int:
    """Add up what is on disk; a directory that is not there, and a file that vanishes meanwhile, use nothing."""
    used = 0
    for path in directory.rglob("*") if directory.is_dir() else ():
        with suppress(OSError):
            used += path.lstat().st_blocks * 512
    return used


class Rooms(Collector):
    """What the disks under some directories have left, asked when somebody asks: nothing is walked."""

    def __init__(self, directories: Mapping[str, Path]) -> None:
        self._directories = directories

    def describe(self) -> list[Metric]:
        """Nothing is read before somebody asks."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Ask each disk; of a directory that is not there yet, the one that it will be on."""
        free = GaugeMetricFamily("rebuilder_disk_free_bytes", "Free space of its disk.", labels=["directory"])
        for name, path in self._directories.items():
            there = next(each for each in (path, *path.absolute().parents) if each.is_dir())
            free.add_metric([name], shutil.disk_usage(there).free)
        yield free


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
