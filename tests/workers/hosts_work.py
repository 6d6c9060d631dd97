"""A farm spread over hosts, and short real builds for it: a container of busybox that sleeps, then writes a package."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from rebuilder.attest.keys import Role
from rebuilder.attest.keystore import key_path, key_uri, load_public_key
from rebuilder.attest.signing import open_signer
from rebuilder.build import images
from rebuilder.model import codec
from rebuilder.model.digest import Digest
from rebuilder.model.job import Job, JobKind, JobState
from rebuilder.model.plan import ImageLock, Plan
from rebuilder.model.verdict import Verdict
from rebuilder.origins.origin import Planned
from rebuilder.store.blobs import LocalBlobs
from rebuilder.store.cases import Cases
from rebuilder.store.conclusions import EventKind
from rebuilder.store.database import Database
from rebuilder.store.jobs import Jobs
from rebuilder.store.ledger import Ledger
from rebuilder.store.selection import Selection
from rebuilder.store.workers import Workers
from tests.attest.factory import BUILDINFO, dossier, reference_bytes
from tests.servers import Postgres, postgres
from tests.workers import short
from tests.workers.bucket import SECRET, object_store
from tests.workers.hosts import Hosts
from tests.workers.processes import PATIENCE_S, Process, broker, process
from tools import farm_secrets
from workers.blobs import Bucket
from workers.documents import PlannedPart, PlanReport
from workers.lease.client import HttpLeases, RemoteBlobs
from workers.lease.http import Patience, Wire

CENTRE, OFFICE = "centre", "office"
LEASE_S, HEARTBEAT_S = 6, 2
_OFFICE = {"comparer": "compare", "signer": "sign", "publisher": "publish"}


@dataclass
class Work:
    """Made-up packages whose builds are real: one base image, a plan for each."""

    rootfs: Path
    lock: ImageLock = field(init=False)
    image: Digest = field(init=False)

    def __post_init__(self) -> None:
        sample = dossier().dossier.lock
        assert sample is not None
        # A lock of its own, so that the image of this test is nobody else's and may be removed.
        packages = tuple(replace(package, version=secrets.token_hex(8)) for package in sample.packages)
        self.lock = replace(sample, packages=packages)
        labels = {images.BASE_LABEL: str(self.named), "rebuilder.suite": self.lock.suite}
        self.image = images.image_id_of(self.rootfs, architecture="amd64", epoch=self.lock.epoch, labels=labels)

    @property
    def named(self) -> Digest:
        """The digest of the lock."""
        return Digest.of(codec.render(self.lock))

    def report(self, target: str, name: str, rootfs: Digest, *, seconds: int) -> PlanReport:
        """Plan a package whose build sleeps for so long, and then writes what was published."""
        sample = dossier({name: Verdict.REPRODUCED}).dossier
        assert sample.plan is not None
        release = replace(sample.release, target=target, name=name, sources=())
        filename = release.artifacts[0].filename
        written = {filename: reference_bytes(filename), "sample_1.0-1_amd64.buildinfo": BUILDINFO}
        lines = [f"printf %s '{data.decode()}' >/output/{each}" for each, data in written.items()]
        environment = replace(
            sample.plan.environment,
            image=self.image,
            lock=self.named,
            packages=(),
            variables=(("PATH", "/usr/bin:/bin"),),
        )
        plan: Plan = replace(
            sample.plan,
            name=name,
            sources=(),
            environment=environment,
            script="\n".join(["set -e", f"echo building {name}", f"sleep {seconds}", *lines, ""]),
        )
        part = PlannedPart(part=release, planned=Planned(plan=plan, lock=self.lock), rootfs=rootfs)
        return PlanReport(release=release, trust=sample.trust, parts=(part,))


@dataclass
class SpreadFarm:
    """The farm's directories and settings, host by host; the test is its planner, at the centre."""

    root: Path
    hosts: Hosts
    database: Postgres
    bucket: Bucket
    broker_port: int
    work: Work
    parts: dict[str, Process] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.base = f"http://{self.hosts.address(CENTRE)}:8700"
        (self.root / "bucket-secret").write_text(SECRET)
        (self.root / "password").write_text(self.database.password)

    def broker(self, user: str) -> dict[str, object]:
        """Settings of one of the broker's users."""
        return {
            "farm_broker": f"redis://{user}@{self.hosts.address(CENTRE)}:{self.broker_port}/0",
            "farm_broker_password_file": self.root / "secrets" / f"broker-{user}",
        }

    def coordinator_settings(self) -> dict[str, object]:
        """What the coordinator alone is told."""
        return {
            "farm_database": self.database.address,
            "farm_database_password_file": self.root / "password",
            "farm_blobs": f"s3://{self.bucket.name}/farm",
            "farm_blobs_endpoint": self.bucket.endpoint,
            "farm_blobs_key_id": self.bucket.access_key_id,
            "farm_blobs_secret_file": self.root / "bucket-secret",
            "farm_lease": f"{LEASE_S} s",
            "farm_heartbeat": f"{HEARTBEAT_S} s",
            "farm_sweep": "1 s",
            "farm_wake_again": "3 s",
            **self.broker("coordinator"),
        }

    def worker_settings(self) -> dict[str, object]:
        """What every worker is told."""
        return {
            "farm_coordinator": self.base,
            "farm_lease": f"{LEASE_S} s",
            "farm_heartbeat": f"{HEARTBEAT_S} s",
            "results": self.root / "results",
        }

    def observe(self) -> Observed:
        """Look at the ledger, from the centre, as soon as there is one, and plan there with the planner's key."""
        self.parts["coordinator"].says('"worker": "signer"')
        return Observed(farm=self, database=Database(self.database.address, password=self.database.password))

    def wire(self, name: str, role: Role) -> Wire:
        """Connect to the coordinator with a worker's key; patient, for a cable may just have been put back."""
        signer = open_signer(key_uri(self.root / name, role))
        return Wire(self.base, signer, patience=Patience(connect_s=5, attempts=8))

    def keyid(self, name: str, role: Role = Role.BUILDER) -> str:
        """Tell a worker's key id."""
        return load_public_key(key_path(self.root / name, role).with_suffix(".pub")).keyid


@dataclass(kw_only=True)
class Observed:
    """What the test does and sees at the centre; by HTTP, for the threads of an object store's client are elsewhere."""

    farm: SpreadFarm
    database: Database

    def __post_init__(self) -> None:
        self.jobs, self.cases = Jobs(self.database), Cases(self.database)
        self.workers, self.ledger = Workers(self.database), Ledger(self.database)

    def events(self, kind: EventKind, subject: str) -> list[str]:
        """Give the details of what was recorded about somebody."""
        return [event.detail for event in self.ledger.events() if event.kind is kind and subject in event.subject]

    def owe(self, name: str, *, seconds: int) -> int:
        """Owe a package, and plan it here and now; return the number of its rebuild."""
        self.jobs.add([short.owed(name)], datetime.now(UTC))
        wire = self.farm.wire("planner", Role.WORKER)
        leases, blobs = HttpLeases(wire), RemoteBlobs(wire, LocalBlobs(self.farm.root / "planned"))
        claim = leases.claim(JobKind.PLAN)
        assert claim is not None
        rootfs = blobs.put_file(self.farm.work.rootfs)
        report = self.farm.work.report(claim.target, name, rootfs, seconds=seconds)
        leases.report_done(claim, blobs.put(codec.render(report)))
        (job,) = self.jobs.find(Selection(kind=JobKind.REBUILD, name=name))
        return job.id

    def drain(self, name: str, *, draining: bool = True) -> None:
        """Give a builder nothing more, or again."""
        self.workers.drain(self.farm.keyid(name), draining=draining)

    def held_by(self, number: int, name: str) -> Job:
        """Wait until a builder holds a job."""
        key = self.farm.keyid(name)
        return self.job_when(
            number,
            lambda job: job.state is JobState.LEASED and self.jobs.leases_of(number)[-1].worker == key,
        )

    def expired(self, number: int) -> Job:
        """Wait until a job's lease has expired, and owe it at once again, as a person does who does not wait."""
        job = self.job_when(number, lambda job: job.state is JobState.WAITING)
        self.jobs.retry(Selection(jobs=(number,)), datetime.now(UTC))
        return job

    def job_when(self, number: int, is_so: Callable[[Job], bool]) -> Job:
        """Wait until something is so of a job."""
        deadline = time.monotonic() + PATIENCE_S
        while not is_so(job := self.jobs.job(number)):
            assert time.monotonic() < deadline, (job, self.logs())
            time.sleep(0.2)
        return job

    def published(self, name: str) -> list[Path]:
        """Wait until a package is published and nothing is owed; return every result directory of it."""
        deadline = time.monotonic() + PATIENCE_S
        final = {state.value for state in JobState if state.is_final}
        while any(state not in final for state, _ in self.jobs.backlog().by_state):
            assert time.monotonic() < deadline, self.logs()
            time.sleep(0.2)
        return sorted(path.parent for path in (self.farm.root / "results").rglob("dossier.json") if name in path.parts)

    def logs(self) -> str:
        """Everything that the parts said, for a test that failed."""
        return "\n".join(f"{path.name}: {path.read_text()[-3000:]}" for path in self.farm.root.glob("*.log"))


@contextmanager
def spread_farm(root: Path, hosts: Hosts, rootfs: Path, servers: Path) -> Iterator[SpreadFarm]:
    """Run database, broker, object store and coordinator at the centre, and the office's roles on a host of their own.

    `servers` is a directory that the database's user can reach.
    """
    farm_secrets.prepare(root, builders=2, architecture="amd64", owner=0)
    (root / "signer" / "keys" / "attestation.pem").write_bytes((root / "secrets" / "attestation.pem").read_bytes())
    (root / "signer" / "keys" / "attestation.pem").chmod(0o600)
    (root / "results").mkdir()
    with ExitStack() as stack:
        with hosts.on(CENTRE):
            database = stack.enter_context(postgres(servers / "postgres"))
            port = stack.enter_context(broker(root, root / "redis", address=hosts.address(CENTRE)))
            bucket = stack.enter_context(object_store())
            farm = SpreadFarm(
                root=root, hosts=hosts, database=database, bucket=bucket, broker_port=port, work=Work(rootfs)
            )
            farm.parts["coordinator"] = stack.enter_context(
                process(
                    root / "coordinator", "--host", hosts.address(CENTRE), "coordinator", **farm.coordinator_settings()
                )
            )
        with hosts.on(OFFICE):
            for name, kind in _OFFICE.items():
                settings = farm.worker_settings()
                farm.parts[name] = stack.enter_context(process(root / name, "worker", kind, **settings))
        yield farm
