"""Jobs to owe and workers to do them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from rebuilder.model.digest import Digest
from rebuilder.model.job import Case, CaseState, JobKind, Lease, NewJob, Purpose, ResourceClass, Worker
from rebuilder.store.cases import open_case
from rebuilder.store.claiming import Offer
from rebuilder.store.database import Database
from rebuilder.store.jobs import Jobs

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
OUTPUT = Digest.of(b"output")


def worker(name: str = "one", **given: Any) -> Worker:
    """Make a worker of its own fault domain that does everything on amd64."""
    values: dict[str, Any] = {
        "keyid": (name.encode().hex() + "0" * 64)[:64],
        "pem": "",
        "name": name,
        "roles": tuple(JobKind),
        "tags": ("amd64",),
        "resources": tuple(ResourceClass),
        "fault_domain": name,
        "enrolled_at": NOON,
    }
    return Worker(**(values | given))


def new(name: str = "demo", kind: JobKind = JobKind.REBUILD, **given: Any) -> NewJob:
    """Make a job to owe."""
    tags = ("amd64",) if kind is JobKind.REBUILD else ()
    values: dict[str, Any] = {"target": f"pkg:deb/debian/{name}@1", "suite": "trixie", "name": name, "tags": tags}
    return NewJob(kind=kind, **(values | given))


def opened(database: Database, jobs: Jobs, name: str = "demo", quorum: int = 2) -> int:
    """Open a case by a plan job of its own."""
    (plan,) = jobs.add([new(name, JobKind.PLAN)], NOON)
    document = Digest.of(b"document")
    case = Case(
        id=0,
        target=f"pkg:deb/debian/{name}@1",
        suite="trixie",
        name=name,
        version="1",
        architecture="amd64",
        purpose=Purpose.BY_HAND,
        quorum=quorum,
        state=CaseState.OPEN,
        release=document,
        trust=document,
        opened_at=NOON,
    )
    with database.write() as connection:
        return open_case(connection, jobs.job(plan), case)


def claim(
    jobs: Jobs, who: Worker, kind: JobKind = JobKind.REBUILD, *, at: datetime = NOON, job: int | None = None
) -> Lease | None:
    """Ask for a job, for a minute."""
    return jobs.claim(Offer(worker=who, kind=kind, job=job), at, lease=MINUTE)


def claimed(jobs: Jobs, who: Worker, kind: JobKind = JobKind.REBUILD, *, at: datetime = NOON) -> Lease:
    """Ask for a job, and get one."""
    lease = claim(jobs, who, kind, at=at)
    assert lease is not None
    return lease
