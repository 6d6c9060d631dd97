"""SIGKILL to each role at every step: before each lasting change to a file, and on both sides of its report."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from rebuilder.model.cause import Cause
from rebuilder.model.digest import Digest
from rebuilder.model.job import JobKind, JobState
from rebuilder.store.jobs import Selection
from tests.workers.faults.outcome import Left, outcome_of
from tests.workers.office import Office
from workers.coordinator.reconcile import sweep
from workers.lease.desk import nobody_to_wake
from workers.lease.protocol import Claim, Leases
from workers.serving import do

_CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.truncate"}
_NEVER = 1_000_000
_WORKERS = {
    JobKind.PLAN: "planner",
    JobKind.REBUILD: "builder-1",
    JobKind.COMPARE: "comparer",
    JobKind.SIGN: "signer",
    JobKind.PUBLISH: "publisher",
}


@dataclass
class Steps:
    """Counts the steps of a process, and kills it before the `last` one."""

    root: Path
    last: int
    count: int = 0

    def listen(self, event: str, arguments: tuple[object, ...]) -> None:
        """Hear what the interpreter is about to do (`sys.addaudithook`)."""
        if event in _CHANGES or (event == "open" and _writes(arguments)):
            path = arguments[0]
            if isinstance(path, str | os.PathLike) and os.fspath(path).startswith(str(self.root)):
                self.step()

    def step(self) -> None:
        """Take one."""
        self.count += 1
        if self.count > self.last:
            os.kill(os.getpid(), signal.SIGKILL)


def _writes(arguments: tuple[object, ...]) -> bool:
    flags = arguments[2]
    return isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))


@dataclass(frozen=True, kw_only=True)
class Stepping:
    """Leases whose reports are steps, too: before, and when the coordinator has taken them."""

    leases: Leases
    steps: Steps

    def claim(self, kind: JobKind, job: int | None = None) -> Claim | None:
        """See Leases.claim."""
        return self.leases.claim(kind, job)

    def heartbeat(self, claim: Claim) -> bool:
        """See Leases.heartbeat."""
        return self.leases.heartbeat(claim)

    def report_done(self, claim: Claim, output: Digest) -> None:
        """See Leases.report_done."""
        self.steps.step()
        self.leases.report_done(claim, output)
        self.steps.step()

    def report_failed(self, claim: Claim, cause: Cause, message: str) -> None:
        """See Leases.report_failed."""
        self.leases.report_failed(claim, cause, message)

    def refused(self, task: str, reason: str, job: int | None = None) -> None:
        """See Leases.refused."""
        self.leases.refused(task, reason, job)


@pytest.mark.parametrize("kind", list(JobKind))
@pytest.mark.parametrize("most", [pytest.param(5, id="some"), pytest.param(_NEVER, id="every", marks=pytest.mark.slow)])
def test_a_role_killed_at_its_steps(tmp_path: Path, kind: JobKind, most: int, say: Callable[[str], None]) -> None:
    """A process of its own does one job and dies at a step; when its lease has ended, another one does the job.

    In the end every case is closed, published once, and nothing was signed twice with different content. `make test`
    takes some of the steps, the first and the last among them; `make test-all` takes every one.
    """
    office = Office(tmp_path)
    for name in ("first", "counted"):
        ready(office, kind, name)
        steps = in_a_process(office, kind, _NEVER)
        office.work_to_the_end()
    chosen, killed = spread(range(steps), most), 0
    for last in chosen:
        ready(office, kind, f"struck-{last}")
        killed += in_a_process(office, kind, last) == -signal.SIGKILL
        office.ahead += timedelta(hours=2)
        sweep(office.coordinator.desk, office.settings.farm, nobody_to_wake)
        office.work_to_the_end()
    found = outcome_of(Left.by(office))
    say(f"kill -9 in {kind} at {killed} of its {steps} steps: {found}")
    assert found.is_whole
    assert found.cases == len(chosen) + 2
    assert killed >= len(chosen) - 2  # a package's blobs may have found their directories made


def spread(steps: range, most: int) -> list[int]:
    """Choose steps: every one, or some from the first to the last."""
    if len(steps) <= most:
        return list(steps)
    return [steps[number * (len(steps) - 1) // (most - 1)] for number in range(most)]


def ready(office: Office, kind: JobKind, name: str) -> None:
    """Owe a package, and do what comes before the role's job."""
    office.owe(name)
    for worker in before(kind):
        post = office.posts[worker]
        while (claim := post.leases.claim(post.kind)) is not None:
            do(post, claim)
    (job,) = office.coordinator.bureau.jobs.find(Selection(kind=kind, name=name))
    assert job.state is JobState.READY


def before(kind: JobKind) -> Iterable[str]:
    """Name who works before a role."""
    order = list(_WORKERS)
    return [_WORKERS[each] for each in order[: order.index(kind)]]


def in_a_process(office: Office, kind: JobKind, last: int) -> int:
    """Do one job in a process of its own, which dies at its `last` step; return how many it took, or minus its signal.

    The ledger's connections are closed first, so that none is in two processes.
    """
    office.database.close()
    told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            steps = Steps(root=office.root, last=last)
            post = office.posts[_WORKERS[kind]]
            claim = post.leases.claim(post.kind)
            assert claim is not None
            sys.addaudithook(steps.listen)
            do(replace(post, leases=Stepping(leases=post.leases, steps=steps)), claim)
            os.write(tell, str(steps.count).encode())
            status = 0
        finally:
            os._exit(status)
    os.close(tell)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with os.fdopen(told, "rb") as stream:
        said = stream.read()
    assert status <= 0
    return int(said) if status == 0 else status
