"""A whole farm in one process on short jobs: real ledger, leases, transitions, comparer, signer and publisher."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rebuilder.attest.keys import Role
from rebuilder.attest.keystore import enroll, ensure_key, key_uri
from rebuilder.attest.signing import open_signer
from rebuilder.config import Settings
from rebuilder.errors import EngineFailure
from rebuilder.model.job import Job, JobKind, JobState, Worker
from rebuilder.progress import Silent
from rebuilder.store.blobs import LocalBlobs
from rebuilder.store.database import Database
from rebuilder.store.jobs import Selection
from rebuilder.store.workers import Grant
from tests.workers import short
from workers.coordinator.opening import Coordinator, open_coordinator
from workers.coordinator.reconcile import sweep
from workers.lease.desk import nobody_to_wake
from workers.lease.local import LocalLeases
from workers.roles.comparer import compare
from workers.roles.nowhere import Nowhere
from workers.roles.place import Place, Step
from workers.roles.publisher import publish
from workers.roles.signer import signing_with
from workers.serving import Post, serve


def no_engine() -> None:
    """Answer as a machine without an engine does."""
    raise EngineFailure("no container engine answers")


@dataclass
class Office:
    """The coordinator and a worker of each role; a clock that tests move."""

    root: Path
    ahead: timedelta = timedelta()
    posts: dict[str, Post] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.settings = Settings(
            cache=self.root / "cache", state=self.root / "coordinator", results=self.root / "results"
        )
        self.blobs = LocalBlobs(self.settings.blobs_dir)
        signer = self.root / "signer"
        self.attester = ensure_key(signer, Role.ATTESTATION)
        self.database = Database(self.root / "coordinator" / "ledger.sqlite")
        self.coordinator: Coordinator = open_coordinator(
            self.settings, self.database, self.blobs, attester=self.attester, now=self.now
        )
        attestation = open_signer(key_uri(signer, Role.ATTESTATION))
        self.hire("planner", JobKind.PLAN, short.plan, Role.WORKER)
        self.hire("builder-1", JobKind.REBUILD, short.rebuild, Role.BUILDER)
        self.hire("builder-2", JobKind.REBUILD, short.rebuild, Role.BUILDER)
        self.hire("comparer", JobKind.COMPARE, compare, Role.COMPARER)
        self.hire("signer", JobKind.SIGN, signing_with(attestation), Role.WORKER)
        self.hire("publisher", JobKind.PUBLISH, publish, Role.WORKER)

    def now(self) -> datetime:
        """Tell the coordinator's time."""
        return datetime.now(UTC) + self.ahead

    def hire(self, name: str, kind: JobKind, step: Step, role: Role) -> None:
        """Enrol a worker with the coordinator and the signer, each builder in a fault domain of its own."""
        state = self.root / name
        key = ensure_key(state, role)
        enroll(self.root / "signer", role, key)
        (self.root / "signer" / "enrolled" / role / f"{key.keyid}.domain").write_text(f"{name}\n")
        grant = Grant(roles=(kind,), fault_domain=name, tags=("amd64",))
        token = self.coordinator.workers.make_token(grant, self.now(), expires=self.now() + timedelta(minutes=1))
        worker: Worker = self.coordinator.workers.enrol(token, key, name, self.now())
        place = Place(
            settings=replace(self.settings, state=state),
            blobs=self.blobs,
            store=self.blobs,
            engine=no_engine,  # type: ignore[arg-type] # nothing here has one
            fetcher=Nowhere(),
            signer=open_signer(key_uri(state, role)),
            progress=Silent(),
            now=self.now,
        )
        leases = LocalLeases(self.coordinator.desk, worker)
        self.posts[name] = Post(kind=kind, step=step, place=place, leases=leases, heartbeat_s=60)

    def teach(self, name: str, step: Step) -> None:
        """Have a worker do its jobs in another way."""
        self.posts[name] = replace(self.posts[name], step=step)

    def owe(self, name: str = "tool", quorum: int = 1) -> None:
        """Owe a made-up package."""
        self.coordinator.bureau.jobs.add([short.owed(name, quorum)], self.now())

    def work(self) -> None:
        """Do whatever is ready, and what follows."""
        while sum(serve(post) for post in self.posts.values()):
            pass

    def work_to_the_end(self, rounds: int = 40) -> None:
        """Let hours pass until nothing is owed."""
        for _ in range(rounds):
            self.work()
            if not self.jobs(JobState.WAITING) and not self.jobs(JobState.LEASED):
                return
            self.ahead += timedelta(hours=7)
            sweep(self.coordinator.desk, self.settings.farm, nobody_to_wake)
        raise AssertionError("something is still owed")

    def jobs(self, state: JobState) -> tuple[Job, ...]:
        """List the jobs in a state."""
        return self.coordinator.bureau.jobs.find(Selection(state=state))

    def published(self) -> list[Path]:
        """List the published result directories."""
        return sorted(path.parent for path in self.settings.results.rglob("dossier.json"))
