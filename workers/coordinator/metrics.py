"""What the ledger says about the farm, as Prometheus metrics, counted when somebody asks.

Names and labels are listed in docs/FARM.md, "Metrics and alerts": a test compares the two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from rebuilder.store.ailing import find_unserved
from rebuilder.store.database import Database
from rebuilder.store.measured import Count, Measured, measure
from rebuilder.store.quorums import Wanted, find_unreachable
from rebuilder.store.workers import Workers

WINDOW = timedelta(hours=1)


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
        yield _of_indices(found)
        yield from self._waiting()

    def _waiting(self) -> Iterator[Metric]:
        """What waits for workers whom this farm has not."""
        enrolled = [worker for worker in Workers(self._database).every() if worker.revoked_at is None]
        unserved = [
            Count(words=(each.kind, each.resources, ",".join(each.tags)), count=each.jobs)
            for each in find_unserved(self._database, enrolled)
        ]
        what = ("kind", "resources", "tags")
        yield _gauge("unserved_jobs", "Ready jobs that no enrolled worker may do.", what, unserved)
        unreachable = [
            Count(words=(each.kind, *_words(each.wanted)), count=each.jobs)
            for each in find_unreachable(self._database, enrolled, self._now())
        ]
        text = "Jobs whose quorum is of more fault domains than have a live builder for them."
        yield _gauge("quorum_unreachable_jobs", text, (*what, "quorum"), unreachable)


def _words(wanted: Wanted) -> tuple[str, ...]:
    return (wanted.resources or "", ",".join(wanted.tags), str(wanted.quorum))


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


def _of_indices(found: Measured) -> Metric:
    text = "Time since a suite's signed index was read last."
    family = GaugeMetricFamily("rebuilder_index_seen_seconds", text, labels=["archive", "suite"])
    for archive, suite, seconds in found.indices_s:
        family.add_metric([archive, suite], seconds)
    return family


def _gauge(name: str, text: str, labels: tuple[str, ...], counts: Iterable[Count]) -> Metric:
    family = GaugeMetricFamily(f"rebuilder_{name}", text, labels=labels)
    for each in counts:
        family.add_metric(each.words, each.count)
    return family
