"""The coordinator's process: the lease API, the reconciler, and its health."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry

from rebuilder.attest.keys import Role
from rebuilder.attest.keystore import ensure_key, key_uri
from rebuilder.attest.signing import open_signer
from rebuilder.config import Settings
from rebuilder.errors import RebuilderError
from rebuilder.model.job import Job
from rebuilder.stages.tidying import in_use
from rebuilder.store.blobs import LocalBlobs
from rebuilder.store.leadership import Leadership
from rebuilder.store.opening import open_database
from rebuilder.store.revocations import Revocations
from rebuilder.store.schema import Preparation
from workers.app import Waker, make_app, wake_followers
from workers.coordinator.front import shrinking
from workers.coordinator.metrics import LedgerMetrics
from workers.coordinator.opening import Coordinator, open_coordinator
from workers.coordinator.reach import verify_served
from workers.coordinator.reconcile import lead, sweep
from workers.lease.bodies import Limits
from workers.lease.connections import make_server
from workers.lease.desk import nobody_to_wake
from workers.lease.server import LeaseApi
from workers.listening import running, served
from workers.metrics import Rooms
from workers.observing import Check, health_app, health_routes
from workers.running import Ports, Stopped, broker_check
from workers.serving import do_nothing
from workers.starting import attester_of, enrol_members, now, open_blobs

_ENDS_WITHIN_S = 30.0


def run_coordinator(settings: Settings, ports: Ports, stopped: Stopped) -> None:
    """Serve the lease API, and sweep as long as this coordinator leads."""
    log = structlog.stdlib.get_logger("coordinator")
    database = open_database(settings, Preparation.MAKE)
    blobs = open_blobs(settings)
    local = blobs if isinstance(blobs, LocalBlobs) else blobs.cache
    # Where it is the only place of a blob, every blob stays.
    shrink = do_nothing if blobs is local else shrinking(local, settings.cache_budget_bytes)
    coordinator = open_coordinator(settings, database, blobs, attester=attester_of(settings), now=now)
    key = ensure_key(settings.state, Role.COORDINATOR)
    # Before anybody is enrolled: the ledger may be older than a revocation.
    _keep_out(settings, coordinator)
    for name in enrol_members(settings.state / "members", coordinator.workers):
        log.info("enrolled", worker=name)
    registry = CollectorRegistry()
    registry.register(LedgerMetrics(database, now))
    registry.register(Rooms(_directories(settings)))
    checks: dict[str, Check] = {"ledger": lambda: _count(coordinator), **broker_check(settings)}
    # On the blobs' own disk, of which a part is reserved.
    spool = local.root / "spool"
    wake = nobody_to_wake if settings.farm.broker is None else _waker(settings)
    desk = replace(coordinator.desk, changed=lambda _: wake_followers(coordinator.desk, settings.farm, wake))
    limits = Limits(day_bytes=settings.farm.upload_quota_bytes)
    api = LeaseApi(desk, coordinator.workers, key, spool=spool, limits=limits)
    app, most = api.app(health_routes(checks, registry)), settings.farm.connections_per_address
    server = make_server(app, ports.host, ports.service, per_address=most)
    # Whether it can be reached is to be asked elsewhere.
    seen = {"api": lambda: verify_served(ports.host, ports.service), **checks}
    # Whoever prunes caches leaves these blobs alone.
    with (
        in_use(settings),
        served(health_app(seen, registry), host=ports.host, port=ports.health),
        running(server, ends_within_s=_ENDS_WITHIN_S),
    ):
        _sweep_until(stopped, coordinator, Leadership(database), wake, shrink)


def _keep_out(settings: Settings, coordinator: Coordinator) -> None:
    """Have who was ever revoked be revoked in this ledger, and noted beside it."""
    for worker in Revocations(settings.state).agree(coordinator.workers):
        structlog.stdlib.get_logger("coordinator").warning("revoked again", worker=worker.name, key=worker.keyid[:16])


def _directories(settings: Settings) -> dict[str, Path]:
    """Name where the coordinator writes; blobs in a bucket are the object store's own affair."""
    own = {"cache": settings.cache, "state": settings.state}
    place = settings.farm.blobs
    return own if place is None or place.startswith("s3://") else own | {"blobs": Path(place)}


def _waker(settings: Settings) -> Waker:
    return Waker(make_app(settings.farm), open_signer(key_uri(settings.state, Role.COORDINATOR)))


def _sweep_until(
    stopped: Stopped,
    coordinator: Coordinator,
    leadership: Leadership,
    wake: Callable[[Job], None],
    shrink: Callable[[], None],
) -> None:
    farm = coordinator.bureau.settings.farm
    log = structlog.stdlib.get_logger("reconciler")
    holder = f"{socket.gethostname()}-{threading.get_native_id()}"
    while True:
        try:
            shrink()
            _keep_out(coordinator.bureau.settings, coordinator)
            if lead(leadership, holder, coordinator.bureau):
                swept = sweep(coordinator.desk, farm, wake)
                if swept.expired or swept.ripened:
                    log.info("swept", expired=swept.expired, ripened=swept.ripened)
        except RebuilderError as error:
            log.warning("no sweep", error=str(error), hint=error.hint)
        if stopped.wait(farm.sweep_s):
            return


def _count(coordinator: Coordinator) -> None:
    """Raise StorageFailure unless the ledger answers."""
    coordinator.workers.find("")
