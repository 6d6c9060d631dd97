"""Revoked keys beside the ledger, one file each, so that an older ledger or a new one does not let them in again.

A backup of before the revocation does not know of it, and results name no worker. Whoever revokes writes the file
first; coordinators keep their own, of everything that the ledger has revoked, and hold it against the ledger when they
start, and as long as they run.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path

from rebuilder.errors import ConfigurationError, HostileInput
from rebuilder.model import codec
from rebuilder.model.job import Worker
from rebuilder.store.workers import Workers
from rebuilder.world.files import read, storage_errors, write_atomically

_LIMIT_BYTES = 64 * 1024


class Revocations:
    """The directory `revoked` of a state directory."""

    def __init__(self, state: Path) -> None:
        self._directory = state / "revoked"

    def revoke(self, worker: Worker, workers: Workers, at: datetime) -> None:
        """Revoke a worker for ever: the file first, so that nothing that happens between the two lets it in again."""
        self._keep(replace(worker, revoked_at=worker.revoked_at or at))
        workers.revoke(worker.keyid, at)

    def agree(self, workers: Workers) -> tuple[Worker, ...]:
        """Have files and ledger name the same keys; return who is revoked in the ledger because a file says so.

        ConfigurationError for a file that is none: whom it was to keep out is not known then.
        """
        revoked = {worker.keyid: worker for worker in workers.every() if worker.revoked_at is not None}
        files = self._files()
        missed = [self._read(path) for keyid, path in files.items() if keyid not in revoked]
        for worker in missed:
            workers.keep_revoked(worker)
        for keyid in revoked.keys() - files.keys():
            self._keep(revoked[keyid])
        return tuple(missed)

    def _keep(self, worker: Worker) -> None:
        path = self._directory / f"{worker.keyid}.json"
        if not path.exists():
            write_atomically(path, codec.render(worker))

    def _files(self) -> dict[str, Path]:
        with storage_errors(self._directory):
            return {path.stem: path for path in sorted(self._directory.glob("*.json"))}

    @staticmethod
    def _read(path: Path) -> Worker:
        hint = "restore it, or name who is meant by `rebuilder workers revoke`, and remove it"
        try:
            worker = codec.parse(read(path, limit_bytes=_LIMIT_BYTES), Worker)
        except HostileInput as error:
            raise ConfigurationError(
                f"{path}: expected a revoked worker, found {str(error)[:200]}", hint=hint
            ) from error
        if worker.keyid != path.stem or worker.revoked_at is None:
            raise ConfigurationError(f"{path}: expected a revoked worker with that key, found another", hint=hint)
        return worker
