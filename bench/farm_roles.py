"""A farm of this machine for measuring: every role a process, as `make up` lays them out, with PostgreSQL and Redis."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench.place import LeftOut, Place
from rebuilder.model.job import JobKind, JobState, NewJob
from rebuilder.origins.registry import named
from rebuilder.store.database import Database
from rebuilder.store.jobs import Jobs
from rebuilder.store.schema import Preparation
from tests.servers import free_port, postgres
from tests.workers.processes import Process, broker, process
from tools import farm_secrets

_PATIENCE_S = 600
_POLL_S = 0.05
_SWEEP = "1 s"
_WRONG = frozenset({JobState.FAILED, JobState.CANCELLED})
_PSS = re.compile(r"^Pss: +([0-9]+) kB$", re.MULTILINE)
BUILDERS = ("builder-1", "builder-2")
_ROLES = {"planner": "plan", "comparer": "compare", "signer": "sign", "publisher": "publish"}


@dataclass(kw_only=True)
class Farm:
    """A farm that runs; builders come and go."""

    place: Place
    root: Path
    jobs: Jobs
    stack: ExitStack
    coordinator: str
    broker: int

    def start(self, name: str, *words: str, user: str, **settings: object) -> Process:
        """Start a role's process, and wait until it is ready."""
        secret = self.root / "secrets" / f"broker-{user}"
        given = {
            "farm_broker": f"redis://{user}@127.0.0.1:{self.broker}/0",
            "farm_broker_password_file": secret,
            "results": self.root / "results",
            "jobs": 1,
            **settings,
        }
        started = self.stack.enter_context(process(self.root / name, *words, **given))
        started.ready()
        return started

    def hire(self, name: str) -> Process:
        """Start a builder and wait for the child in which it works; its state and cache are its own, and outlive it."""
        words = ("worker", "rebuild", "--tag", "amd64")
        builder = self.start(name, *words, user="rebuild", farm_coordinator=self.coordinator)
        builder.says(" ready.")
        return builder

    def rebuild(self, targets: Sequence[str]) -> float:
        """Have targets rebuilt, compared, signed and published; return the seconds from the first being owed.

        The same target may be wanted more than once: it is owed again as soon as it is planned.
        """
        started, wanted = time.monotonic(), [_job(target) for target in targets]
        while wanted or self._owed():
            wanted = [job for job in wanted if not self.jobs.add((job,), datetime.now(UTC))]
            if time.monotonic() - started > _PATIENCE_S:
                raise LeftOut(f"the farm was not done after {_PATIENCE_S} s: {self.jobs.backlog().by_state}")
            time.sleep(_POLL_S)
        if failed := [count for state, count in self.jobs.backlog().by_state if state in _WRONG]:
            raise LeftOut(f"{sum(failed)} jobs of the farm failed")
        return time.monotonic() - started

    def _owed(self) -> int:
        return sum(count for state, count in self.jobs.backlog().by_state if not JobState(state).is_final)


@contextlib.contextmanager
def running(place: Place) -> Iterator[Farm]:
    """Run everything but builders; raise LeftOut where a server is not installed."""
    if shutil.which("redis-server") is None or not list(Path("/usr/lib/postgresql").glob("*/bin/initdb")):
        raise LeftOut("PostgreSQL or Redis is not installed")
    directory = Path(tempfile.mkdtemp(prefix="rebuilder-bench-", dir="/var/tmp"))
    directory.chmod(0o755)  # PostgreSQL has a user of its own
    try:
        with ExitStack() as stack:
            yield _started(place, directory, stack)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _started(place: Place, directory: Path, stack: ExitStack) -> Farm:
    root = directory / "farm"
    farm_secrets.prepare(root, builders=len(BUILDERS), architecture="amd64", owner=os.geteuid())
    shutil.copy(root / "secrets" / "attestation.pem", root / "signer" / "keys")
    server = stack.enter_context(postgres(directory / "postgres", durable=True))
    (root / "password").write_text(server.password)
    database = Database(server.address, password=server.password, preparation=Preparation.MAKE)
    stack.callback(database.close)
    port = free_port()
    farm = Farm(
        place=place,
        root=root,
        jobs=Jobs(database),
        stack=stack,
        coordinator=f"http://127.0.0.1:{port}",
        broker=stack.enter_context(broker(root, directory / "redis")),
    )
    ledger = {"farm_database": server.address.replace("+psycopg", ""), "farm_database_password_file": root / "password"}
    farm.start("coordinator", "coordinator", "--port", str(port), user="coordinator", farm_sweep=_SWEEP, **ledger)
    for name, kind in _ROLES.items():
        own = {"cache": place.root / "cache"} if kind == JobKind.PLAN else {}
        farm.start(name, "worker", kind, user=kind, farm_coordinator=farm.coordinator, **own)
    return farm


def memory(started: Process) -> int:
    """Sum what a role's processes hold of this machine's memory: shared pages count in part (PSS)."""
    return sum(_proportional(pid) for pid in (started.program.pid, *_children(started.program.pid)))


def _children(pid: int) -> Iterator[int]:
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in map(int, (task / "children").read_text().split()):
            yield child
            yield from _children(child)


def _proportional(pid: int) -> int:
    found = _PSS.search(Path(f"/proc/{pid}/smaps_rollup").read_text())
    return int(found[1]) * 1024 if found else 0


def _job(target: str) -> NewJob:
    wanted = named(target)
    return NewJob(kind=JobKind.PLAN, target=wanted.target, suite=wanted.suite, name=wanted.name)
