"""A whole farm in one process: every role on this machine, no broker, no network between them.

The same ledger, leases, transitions and roles as on many machines; whatever is owed is done, one job after the other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from rebuilder.attest.keys import PublicKey, Role
from rebuilder.attest.keystore import enroll, ensure_key, key_uri, passphrase_from_file
from rebuilder.attest.signing import open_signer
from rebuilder.build.container import Engine
from rebuilder.config import Settings
from rebuilder.model.job import JobKind, ResourceClass, Worker
from rebuilder.progress import Progress
from rebuilder.store.blobs import LocalBlobs
from rebuilder.store.database import Database
from rebuilder.store.ledger import FILE_NAME
from rebuilder.store.workers import Grant
from rebuilder.world.http import Fetcher
from workers.coordinator.opening import Coordinator, open_coordinator
from workers.coordinator.reconcile import sweep
from workers.lease.desk import nobody_to_wake
from workers.lease.local import LocalLeases
from workers.roles.builder import rebuild
from workers.roles.comparer import compare
from workers.roles.nowhere import Nowhere
from workers.roles.place import Place, Step
from workers.roles.planner import plan
from workers.roles.publisher import publish
from workers.roles.signer import signing_with
from workers.serving import Post, serve

_TOKEN_LASTS = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """This machine, as the whole farm."""

    settings: Settings
    fetcher: Fetcher
    engine: Callable[[], Engine]
    progress: Progress
    now: Callable[[], datetime]
    tags: tuple[str, ...]
    """What it offers: its architecture, and labels."""


_ROLES = {
    Role.BUILDER: (JobKind.PLAN, JobKind.REBUILD),
    Role.COMPARER: (JobKind.COMPARE, JobKind.SIGN, JobKind.PUBLISH),
}


class Farm:
    """Every role of a farm, with the keys of this machine's state directory."""

    def __init__(self, machine: Machine) -> None:
        settings = machine.settings
        secret = settings.passphrase_file
        passphrase = passphrase_from_file(secret) if secret is not None else None
        attester = ensure_key(settings.state, Role.ATTESTATION, passphrase=passphrase)
        attestation = open_signer(key_uri(settings.state, Role.ATTESTATION), passphrase=passphrase)
        database = Database(settings.state / FILE_NAME)
        blobs = LocalBlobs(settings.blobs_dir)
        self._machine = machine
        self._blobs = blobs
        self.coordinator: Coordinator = open_coordinator(settings, database, blobs, attester=attester, now=machine.now)
        self._posts = (
            self._post(JobKind.PLAN, plan, Role.BUILDER, fetcher=machine.fetcher),
            self._post(JobKind.REBUILD, rebuild, Role.BUILDER),
            self._post(JobKind.COMPARE, compare, Role.COMPARER),
            self._post(JobKind.SIGN, signing_with(attestation), Role.COMPARER),
            self._post(JobKind.PUBLISH, publish, Role.COMPARER),
        )

    def work(self) -> int:
        """Do everything that is ready, and what follows from it; return how many jobs that were."""
        total = 0
        while done := self._round():
            total += done
        return total

    def _round(self) -> int:
        sweep(self.coordinator.desk, self._machine.settings.farm, nobody_to_wake)
        return sum(serve(post) for post in self._posts)

    def _post(self, kind: JobKind, step: Step, role: Role, *, fetcher: Fetcher | None = None) -> Post:
        machine = self._machine
        key = ensure_key(machine.settings.state, role)
        place = Place(
            settings=machine.settings,
            blobs=self._blobs,
            store=self._blobs,
            engine=machine.engine,
            fetcher=fetcher or Nowhere(),
            signer=open_signer(key_uri(machine.settings.state, role)),
            progress=machine.progress,
            now=machine.now,
        )
        leases = LocalLeases(self.coordinator.desk, self._enrolled(key, role))
        return Post(kind=kind, step=step, place=place, leases=leases, heartbeat_s=machine.settings.farm.heartbeat_s)

    def _enrolled(self, key: PublicKey, role: Role) -> Worker:
        """Enrol one of this machine's keys, with the coordinator and with the signer."""
        machine, workers = self._machine, self.coordinator.workers
        enroll(machine.settings.state, role, key)
        at = machine.now()
        grant = Grant(
            roles=_ROLES[role], fault_domain="this-machine", tags=machine.tags, resources=tuple(ResourceClass)
        )
        token = workers.make_token(grant, at, expires=at + _TOKEN_LASTS)
        return workers.enrol(token, key, f"{role} of this machine", at)
