"""A farm to do harm to: coordinators and Celery workers as processes, on PostgreSQL and Redis of their own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

from rebuilder.attest.keys import Role
from rebuilder.attest.keystore import enroll, ensure_key
from rebuilder.errors import StorageFailure
from rebuilder.model.job import Job, JobKind, JobState
from rebuilder.publish.pending import PENDING
from rebuilder.store.cases import Cases
from rebuilder.store.database import Database
from rebuilder.store.jobs import Jobs, Selection
from rebuilder.store.ledger import FILE_NAME, Ledger
from rebuilder.store.schema import Preparation
from rebuilder.store.workers import Grant, Workers
from tests.servers import Postgres, Redis, free_port, postgres, redis
from tests.tls import Authority, tls_before
from tests.workers import short

COORDINATORS = ("coordinator-1", "coordinator-2")
OFFICE = "office"
"""Plans, compares, signs and publishes."""
BUILDERS = ("builder-1", "builder-2")
EVERYBODY = (*COORDINATORS, OFFICE, *BUILDERS)
LEASE_S, HEARTBEAT_S, WAKE_AGAIN_S = 6, 2, 5
PATIENCE_S = 180
_QUEUES = {OFFICE: "plan,compare,sign,publish"} | dict.fromkeys(BUILDERS, "rebuild.small.amd64")
_ASKS = {OFFICE: COORDINATORS[0], BUILDERS[0]: COORDINATORS[0], BUILDERS[1]: COORDINATORS[1]}
"""Which coordinator a worker asks."""
_ROOT = Path(__file__).parents[3]


@dataclass
class Farm:
    """A farm under test. The test itself is its operator: it owes jobs and looks into the ledger, and no more."""

    root: Path
    postgres: Postgres | None
    """None for a ledger in a file, which the first coordinator has."""
    redis: Redis
    authority: Authority | None = None
    """Vouches for the broker and for what is before the coordinators, where TLS leads to them."""
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.ports = {name: free_port() for name in COORDINATORS}
        self.doors = {name: f"http://127.0.0.1:{port}" for name, port in self.ports.items()}
        self.results, self.blobs_dir, self.holds = (self.root / name for name in ("results", "blobs", "holds"))
        for path in (self.holds, *(self.root / name for name in EVERYBODY)):
            path.mkdir(parents=True, mode=0o700, exist_ok=True)
        (self.root / "redis-password").write_text(self.redis.password)
        self.database = database = self._open()
        self.jobs, self.cases, self.workers, self.ledger = (
            Jobs(database),
            Cases(database),
            Workers(database),
            Ledger(database),
        )
        self.attester = ensure_key(self.root / OFFICE, Role.ATTESTATION)
        coordinator = ensure_key(self.root / COORDINATORS[0], Role.COORDINATOR)
        shutil.copytree(self.root / COORDINATORS[0] / "keys", self.root / COORDINATORS[1] / "keys")
        for name in COORDINATORS:
            (self.root / name / "attestation.pub").write_text(self.attester.pem)
        for name in (OFFICE, *BUILDERS):
            (self.root / name / "coordinator.pub").write_text(coordinator.pem)
        self._hire(OFFICE, Role.WORKER, JobKind.PLAN, JobKind.SIGN, JobKind.PUBLISH)
        self._hire(OFFICE, Role.COMPARER, JobKind.COMPARE)
        for name in BUILDERS:
            self._hire(name, Role.BUILDER, JobKind.REBUILD)

    def _open(self) -> Database:
        if self.postgres is None:
            return Database(self.root / COORDINATORS[0] / FILE_NAME)
        (self.root / "postgres-password").write_text(self.postgres.password)
        return Database(self.postgres.address, password=self.postgres.password, preparation=Preparation.MAKE)

    def _hire(self, name: str, role: Role, *kinds: JobKind) -> None:
        key = ensure_key(self.root / name, role)
        enroll(self.root / OFFICE, role, key)
        (self.root / OFFICE / "enrolled" / role / f"{key.keyid}.domain").write_text(f"{name}\n")
        now = datetime.now(UTC)
        grant = Grant(roles=kinds, fault_domain=name, tags=("amd64",))
        token = self.workers.make_token(grant, now, expires=now + timedelta(minutes=1))
        self.workers.enrol(token, key, f"{name} {role}", now)

    def start(self, *names: str, under: tuple[str, ...] = ()) -> None:
        """Start processes of the farm, `under` another program where one is named."""
        for name in names:
            words = self._coordinator(name) if name in COORDINATORS else self._worker(name)
            with (self.root / f"{name}.log").open("ab") as log:
                self.processes[name] = subprocess.Popen(
                    [*under, *words],
                    env=self._environment(name),
                    cwd=_ROOT,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )

    def kill(self, name: str) -> None:
        """End a process as a power cut does: it, and its pool's children."""
        process = self.processes.pop(name)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(30)

    def pool_child(self, name: str) -> int:
        """Find the process in which a Celery worker works."""
        pid = self.processes[name].pid
        (child,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return int(child)

    def owe(self, *names: str, quorum: int = 1) -> None:
        """Owe made-up packages; the reconciler wakes whoever plans them."""
        self.jobs.add((short.owed(name, quorum) for name in names), datetime.now(UTC))

    def owed(self) -> int:
        """Count what is not final."""
        final = {state.value for state in JobState if state.is_final}
        return sum(count for state, count in self.jobs.backlog().by_state if state not in final)

    def job(self, kind: JobKind, name: str) -> Job | None:
        """Find the newest job of a role on a package."""
        found = self.jobs.find(Selection(kind=kind, name=name))
        return max(found, key=lambda job: job.id, default=None)

    def hold(self, kind: JobKind, name: str, *, done: bool = False) -> Hold:
        """Have a role stop at the beginning of its job on a package, or when all is `done` but the report."""
        return Hold(path=self.holds / short.hold_of(kind, name, done=done))

    def holder(self, job: Job) -> str:
        """Name the process that held a job last."""
        worker = self.workers.find(self.jobs.leases_of(job.id)[-1].worker)
        assert worker is not None
        return worker.name.partition(" ")[0]

    def wait(self, until: Callable[[], object], what: str, *, patience_s: float = PATIENCE_S) -> None:
        """Wait until something holds."""
        deadline = time.monotonic() + patience_s
        while not until():
            assert time.monotonic() < deadline, f"{what}: {self.said()}"
            time.sleep(0.1)

    def wait_for_the_end(self, *, patience_s: float = PATIENCE_S) -> None:
        """Wait until nothing is owed, and then until the publisher has rested: it lists what it published."""
        self.wait(lambda: self.owed() == 0, "something is still owed", patience_s=patience_s)
        self.wait(lambda: not (self.results / PENDING).exists(), "something is not listed", patience_s=30)

    def said(self) -> str:
        """Everything that would tell why a test failed."""
        with suppress(StorageFailure):
            states = self.jobs.backlog()
            logs = (f"{path.name}: {path.read_text('utf-8', 'replace')[-2500:]}" for path in self.root.glob("*.log"))
            return "\n".join((str(states), *logs))
        return "the ledger does not answer"

    def _coordinator(self, name: str) -> list[str]:
        words = [sys.executable, "-m", "workers", "--host", "127.0.0.1", "--health-port", str(free_port())]
        return [*words, "coordinator", "--port", str(self.ports[name])]

    def _worker(self, name: str) -> list[str]:
        words = [sys.executable, "-m", "celery", "-A", "tests.workers.short_tasks:app", "worker", "-Q", _QUEUES[name]]
        return [*words, "-c", "1", "-n", f"{name}@test", "--without-gossip", "--without-mingle", "-l", "WARNING"]

    def _environment(self, name: str) -> dict[str, str]:
        settings = {
            "STATE": self.root / name,
            "CACHE": self.root / name / "cache",
            "RESULTS": self.results,
            "FARM_BROKER": self.redis.place,
            "FARM_BROKER_PASSWORD_FILE": self.root / "redis-password",
            "FARM_LEASE": f"{LEASE_S} s",
            "FARM_HEARTBEAT": f"{HEARTBEAT_S} s",
        }
        if self.authority:
            settings["FARM_AUTHORITY_FILE"] = self.authority.certificate
        if name not in COORDINATORS:
            settings["FARM_COORDINATOR"] = self.doors[_ASKS[name]]
        else:
            settings |= {
                "FARM_BLOBS": self.blobs_dir,
                "FARM_SWEEP": "1 s",
                "FARM_WAKE_AGAIN": f"{WAKE_AGAIN_S} s",
            }
            if self.postgres:
                settings["FARM_DATABASE"] = self.postgres.address
                settings["FARM_DATABASE_PASSWORD_FILE"] = self.root / "postgres-password"
        environment = {key: value for key, value in os.environ.items() if not key.startswith("REBUILDER_")}
        return environment | {f"REBUILDER_{key}": str(value) for key, value in settings.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """As long as the context lasts a job goes on no further than a given point."""

    path: Path

    def __enter__(self) -> Self:
        self.path.touch()
        return self

    def __exit__(self, *_: object) -> None:
        self.path.unlink()

    @property
    def is_reached(self) -> bool:
        """Whether somebody waits there."""
        return self.path.stat().st_size > 0


@contextmanager
def place() -> Iterator[Path]:
    """Give a directory for a farm that PostgreSQL, which has a user of its own, can reach; nothing of it stays."""
    root = Path(tempfile.mkdtemp(prefix="rebuilder-farm-"))
    root.chmod(0o755)
    try:
        yield root
    finally:
        shutil.rmtree(root, ignore_errors=True)


@contextmanager
def farm_in(root: Path, *, server: bool = True, tls: bool = False) -> Iterator[Farm]:
    """Make a farm of which nobody runs yet, with its ledger on a `server` or in a file; who was started is killed."""
    authority = Authority(root=root / "authority") if tls else None
    proof = authority.vouch("127.0.0.1") if authority else None
    with ExitStack() as stack:
        ledger = stack.enter_context(postgres(root / "postgres")) if server else None
        broker = stack.enter_context(redis(root / "redis", proof=proof))
        farm = Farm(root / "farm", ledger, broker, authority)
        if proof:
            for name, port in farm.ports.items():
                farm.doors[name] = f"https://127.0.0.1:{stack.enter_context(tls_before(port, proof))}"
        try:
            yield farm
        finally:
            for name in list(farm.processes):
                farm.kill(name)
            farm.database.close()


@contextmanager
def running(*names: str) -> Iterator[Farm]:
    """Run these processes of a new farm as long as the context lasts, and leave nothing."""
    with place() as root, farm_in(root) as farm:
        farm.start(*names)
        yield farm
