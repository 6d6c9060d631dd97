"""The farm's processes but for the coordinator: a worker of one kind, the web server; each serves its health as well.

A worker has no ledger, so nothing here loads the libraries of databases: an idle builder is to be small.
"""

from __future__ import annotations

import gc
import threading
from dataclasses import dataclass, replace
from itertools import chain, combinations

import structlog
import uvicorn
from celery.signals import worker_before_create_process  # type: ignore[import-untyped] # Celery has no types
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from rebuilder.config import Settings
from rebuilder.errors import ConfigurationError, RebuilderError
from rebuilder.model.digest import Digest
from rebuilder.model.job import JobKind, ResourceClass
from workers.app import make_app, rebuild_queue, verify_broker
from workers.lease.protocol import Claim
from workers.listening import ENDS_WITHIN_S, running, served
from workers.metrics import Disk, Timed, WorkerMetrics, gathered
from workers.observing import Check, bound, health_app
from workers.roles.place import Place, Step
from workers.serving import Post, serve
from workers.starting import Opened, open_worker
from workers.tasks import make_tasks
from workers.woken import make_worker, verify_listening

_POLL_S = 2.0
_LONGEST_PAUSE_S = 60.0
_TAGS_LIMIT = 6
"""A worker listens to a queue for each choice of its tags."""
_DISKS_EVERY_S = 300.0

Stopped = threading.Event
"""Set when the process shall end: between two jobs, and within seconds where nothing runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Where a process listens."""

    host: str
    health: int
    service: int
    """The lease API, or the results."""


class LoggedProgress:
    """A listener that writes what it hears into the log (`rebuilder.progress.Progress`)."""

    def __init__(self) -> None:
        self._log = structlog.stdlib.get_logger("rebuilder")

    def phase(self, target: str, name: str, detail: str = "") -> None:
        """See Progress.phase."""
        self._log.info(name, target=target, detail=detail)

    def advance(self, target: str, done: int, total: int | None, unit: str) -> None:
        """See Progress.advance: too much for a log."""

    def note(self, target: str, message: str) -> None:
        """See Progress.note."""
        self._log.warning(message, target=target)


def run_worker(kind: JobKind, settings: Settings, ports: Ports, stopped: Stopped, tags: tuple[str, ...] = ()) -> None:
    """Do jobs of one kind until the process is told to end: when the broker wakes it, or without a broker by asking.

    With a broker the work is done in a child of this process, and `stopped` is Celery's to set: it ends after the job.
    """
    registry = CollectorRegistry()
    metrics = WorkerMetrics(registry)
    opened = _opened(kind, settings, metrics)
    results = (Disk(name="results", path=settings.results),) if kind is JobKind.PUBLISH else ()
    _measure((*_disks(settings), *results), metrics, stopped)
    opened.post.rest()
    if settings.farm.broker is None:
        with served(health_app(opened.checks, gathered(registry)), host=ports.host, port=ports.health):
            _ask_until(stopped, _observed(opened.post, metrics))
        return
    queues = queues_of(kind, tags)
    app = make_tasks(settings, lambda kind, own: _observed(_opened(kind, own, metrics).post, metrics))
    worker = make_worker(app, queues)
    listening: dict[str, Check] = {"queues": lambda: verify_listening(worker, queues)}
    checks = opened.checks | broker_check(settings) | listening
    with served(health_app(checks, gathered(registry)), host=ports.host, port=ports.health):
        worker_before_create_process.connect(_freeze)
        worker.start()


def _freeze(**_: object) -> None:
    """Let a child share what is loaded: a collection in either process would write to all of it, and so copy it."""
    gc.collect()
    gc.freeze()


def _opened(kind: JobKind, settings: Settings, metrics: WorkerMetrics) -> Opened:
    return open_worker(kind, settings, LoggedProgress(), lambda hit: metrics.cache("blobs", hit=hit))


def queues_of(kind: JobKind, tags: tuple[str, ...]) -> tuple[str, ...]:
    """Name the queues that a worker with these tags listens to: those of jobs that want some of them, all, or none."""
    if kind is not JobKind.REBUILD:
        return (str(kind),)
    own = sorted(set(tags))
    if len(own) > _TAGS_LIMIT:
        raise ConfigurationError(
            f"expected at most {_TAGS_LIMIT} tags, found {len(own)}", hint="name those alone that jobs ask for"
        )
    wanted = tuple(chain.from_iterable(combinations(own, count) for count in range(len(own) + 1)))
    return tuple(rebuild_queue(resources, each) for resources in ResourceClass for each in wanted)


def _ask_until(stopped: Stopped, post: Post) -> None:
    """Ask for work; what ends that for a while is logged, and tried again later."""
    log = structlog.stdlib.get_logger("worker")
    pause = _POLL_S
    while not stopped.wait(pause):
        try:
            serve(post)
            pause = _POLL_S
        except RebuilderError as error:
            pause = min(2 * pause, _LONGEST_PAUSE_S)
            log.warning("no work now", error=str(error), hint=error.hint, again_in_s=pause)


def run_web(settings: Settings, ports: Ports, stopped: Stopped) -> None:
    """Serve the results, which are files."""
    settings.results.mkdir(parents=True, exist_ok=True)
    results = Starlette(routes=[Mount("/", StaticFiles(directory=settings.results, html=True))])
    health = health_app({}, CollectorRegistry())
    server = uvicorn.Server(uvicorn.Config(results, ports.host, ports.service, log_config=None, access_log=False))
    with (
        running(server, ends_within_s=ENDS_WITHIN_S),
        served(health, host=ports.host, port=ports.health),
    ):
        stopped.wait()


def broker_check(settings: Settings) -> dict[str, Check]:
    """Give the check of the broker, where there is one."""
    if settings.farm.broker is None:
        return {}
    app = make_app(settings.farm)
    return {"broker": lambda: verify_broker(app)}


def _observed(post: Post, metrics: WorkerMetrics) -> Post:
    """Log each job under its number, release and attempt, and time it and its phases."""
    log = structlog.stdlib.get_logger("worker")

    def step(claim: Claim, place: Place) -> Digest:
        timed = Timed(place.progress, metrics)
        with bound(job=claim.job, release=claim.target, attempt=claim.attempt):
            log.info("begun", kind=claim.kind)
            try:
                with metrics.job(claim.kind):
                    output = inner(claim, replace(place, progress=timed))
            except RebuilderError as error:
                log.warning("failed", cause=error.cause, error=str(error))
                raise
            finally:
                timed.finish()
            log.info("done", output=str(output))
            return output

    inner: Step = post.step
    return replace(post, step=step)


def _disks(settings: Settings) -> tuple[Disk, ...]:
    return (
        Disk(name="downloads", path=settings.blobs_dir, budget_bytes=settings.cache_budget_bytes),
        Disk(name="state", path=settings.state),
    )


def _measure(disks: tuple[Disk, ...], metrics: WorkerMetrics, stopped: Stopped) -> None:
    """Measure directories from time to time, from a thread: a large one takes a while."""

    def measure() -> None:
        while True:
            for disk in disks:
                metrics.disk(disk)
            if stopped.wait(_DISKS_EVERY_S):
                return

    threading.Thread(target=measure, name="disks", daemon=True).start()
