"""Leases in the coordinator's own process: for a farm on one machine, and for tests."""

from __future__ import annotations

from rebuilder.model.cause import Cause
from rebuilder.model.digest import Digest
from rebuilder.model.job import JobKind, Worker
from workers.lease.desk import Desk
from workers.lease.protocol import Claim


class LocalLeases:
    """See `protocol.Leases`: what the desk does for one worker."""

    def __init__(self, desk: Desk, worker: Worker) -> None:
        self._desk = desk
        self._worker = worker

    def claim(self, kind: JobKind, job: int | None = None) -> Claim | None:
        """See Leases.claim."""
        return self._desk.claim(self._worker, kind, job)

    def heartbeat(self, claim: Claim) -> bool:
        """See Leases.heartbeat."""
        return self._desk.heartbeat(self._worker, claim.held)

    def report_done(self, claim: Claim, output: Digest) -> None:
        """See Leases.report_done."""
        self._desk.done(self._worker, claim.held, output)

    def report_failed(self, claim: Claim, cause: Cause, message: str) -> None:
        """See Leases.report_failed."""
        self._desk.failed(self._worker, claim.held, cause, message)

    def refused(self, task: str, reason: str, job: int | None = None) -> None:
        """See Leases.refused."""
        self._desk.refused(self._worker, task, reason, job)
