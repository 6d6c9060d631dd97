"""A farm as it is: a coordinator that serves the lease API, real Redis, real Celery workers as processes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from prometheus_client import CollectorRegistry

from rebuilder.attest.keys import Role
from rebuilder.attest.keystore import enroll, ensure_key, key_uri
from rebuilder.attest.signing import open_signer
from rebuilder.config import FarmSettings, Settings
from rebuilder.errors import RebuilderError
from rebuilder.model.job import JobKind, JobState
from rebuilder.store.blobs import LocalBlobs
from rebuilder.store.database import Database
from rebuilder.store.jobs import Selection
from rebuilder.store.workers import Grant
from tests.servers import Redis, free_port
from tests.workers import short
from workers.app import Waker, make_app, wake_followers
from workers.coordinator.opening import open_coordinator
from workers.coordinator.reconcile import sweep
from workers.lease.server import LeaseApi
from workers.observing import health_routes, served

LEASE_S, HEARTBEAT_S = 6, 2
_OFFICE_QUEUES = "plan,compare,sign,publish"
_REBUILDS = "rebuild.small.amd64"
_ROOT = Path(__file__).parents[2]


@dataclass
class Farm:
    """A farm under test: builders in processes, and one more process a time with all the other roles."""

    root: Path
    redis: Redis
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.port = free_port()
        self.root.mkdir(parents=True, exist_ok=True)
        (self.root / "password").write_text(self.redis.password)
        farm = FarmSettings(
            broker=f"redis://default@127.0.0.1:{self.redis.port}/0",
            broker_password_file=self.root / "password",
            lease_s=LEASE_S,
            heartbeat_s=HEARTBEAT_S,
            sweep_s=1,
            wake_again_s=5,
        )
        state, results = self.root / "coordinator", self.root / "results"
        self.settings = Settings(cache=self.root / "cache", state=state, results=results, farm=farm)
        self.attester = ensure_key(self.root / "office", Role.ATTESTATION)
        key = ensure_key(state, Role.COORDINATOR)
        self.coordinator = open_coordinator(
            self.settings,
            Database(state / "ledger.sqlite"),
            LocalBlobs(self.settings.blobs_dir),
            attester=self.attester,
            now=lambda: datetime.now(UTC),
        )
        self.waker = Waker(make_app(farm), open_signer(key_uri(state, Role.COORDINATOR)))
        self.desk = replace(
            self.coordinator.desk, changed=lambda _: wake_followers(self.coordinator.desk, farm, self.waker)
        )
        spool = self.root / "spool"
        spool.mkdir()
        self.api = LeaseApi(self.desk, self.coordinator.workers, key, spool=spool)
        for name in ("office", "builder-1", "builder-2"):
            (self.root / name).mkdir(exist_ok=True, mode=0o700)
            (self.root / name / "coordinator.pub").write_text(key.pem)
        office = (JobKind.PLAN, JobKind.SIGN, JobKind.PUBLISH)
        self._hire("office", Role.WORKER, *office)
        self._hire("office", Role.COMPARER, JobKind.COMPARE)
        for name in ("builder-1", "builder-2"):
            self._hire(name, Role.BUILDER, JobKind.REBUILD)

    def _hire(self, name: str, role: Role, *kinds: JobKind) -> None:
        key = ensure_key(self.root / name, role)
        enroll(self.root / "office", role, key)
        (self.root / "office" / "enrolled" / role / f"{key.keyid}.domain").write_text(f"{name}\n")
        now, workers = datetime.now(UTC), self.coordinator.workers
        grant = Grant(roles=kinds, fault_domain=name, tags=("amd64",))
        workers.enrol(workers.make_token(grant, now, expires=now + timedelta(minutes=1)), key, f"{name} {role}", now)

    def start(self, name: str) -> None:
        """Start a Celery worker."""
        queues = _OFFICE_QUEUES if name == "office" else _REBUILDS
        words = [sys.executable, "-m", "celery", "-A", "tests.workers.short_tasks:app", "worker", "-Q", queues]
        words += ["-c", "1", "-n", f"{name}@test", "--without-gossip", "--without-mingle", "-l", "WARNING"]
        settings = {
            "STATE": self.root / name,
            "CACHE": self.root / name / "cache",
            "RESULTS": self.settings.results,
            "FARM_COORDINATOR": f"http://127.0.0.1:{self.port}",
            "FARM_BROKER": self.settings.farm.broker,
            "FARM_BROKER_PASSWORD_FILE": self.root / "password",
            "FARM_LEASE": f"{LEASE_S} s",
            "FARM_HEARTBEAT": f"{HEARTBEAT_S} s",
        }
        environment = {key: value for key, value in os.environ.items() if not key.startswith("REBUILDER_")}
        environment |= {f"REBUILDER_{key}": str(value) for key, value in settings.items()}
        with (self.root / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                words, env=environment, cwd=_ROOT, stdout=log, stderr=log, start_new_session=True
            )

    def kill(self, name: str) -> None:
        """End a worker as a power cut does: it, and its pool's children."""
        process = self.processes.pop(name)
        os.killpg(process.pid, 9)
        process.wait(30)

    def owe(self, *names: str, quorum: int = 1) -> None:
        """Owe made-up packages, and wake their planner."""
        self.desk.jobs.add((short.owed(name, quorum) for name in names), datetime.now(UTC))
        wake_followers(self.desk, self.settings.farm, self.waker)

    def owed(self) -> int:
        """Count what is not final."""
        final = {state.value for state in JobState if state.is_final}
        return sum(count for state, count in self.desk.jobs.backlog().by_state if state not in final)

    def held(self, kind: JobKind) -> int:
        """Count the jobs of a role that somebody holds."""
        return len(self.desk.jobs.find(Selection(kind=kind, state=JobState.LEASED)))

    def logs(self) -> str:
        """Everything that the workers said, for a test that failed."""
        return "\n".join(f"{path.name}: {path.read_text()[-1500:]}" for path in self.root.glob("*.log"))


@contextmanager
def running(farm: Farm) -> Iterator[Farm]:
    """Serve the lease API and reconcile, as long as the context lasts; end every worker with it."""
    ended = threading.Event()

    def reconcile() -> None:
        while not ended.wait(farm.settings.farm.sweep_s):
            try:
                sweep(farm.desk, farm.settings.farm, farm.waker)
            except RebuilderError as error:
                (farm.root / "reconciler.log").open("a").write(f"{error}\n")

    thread = threading.Thread(target=reconcile, daemon=True)
    with served(farm.api.app(health_routes({}, CollectorRegistry())), host="127.0.0.1", port=farm.port):
        thread.start()
        try:
            yield farm
        finally:
            ended.set()
            thread.join()
            for name in list(farm.processes):
                farm.kill(name)
