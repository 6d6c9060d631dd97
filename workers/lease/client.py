"""The lease API as a worker on another machine uses it: leases, blobs with a cache of its own, enrolment."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, TypeVar

from rebuilder.attest.keys import PublicKey, parse_public_key
from rebuilder.errors import (
    DigestMismatch,
    HostileInput,
    LeaseLost,
    NetworkFailure,
    ResourceExhausted,
    SignatureRefused,
    StorageFailure,
    UsageError,
)
from rebuilder.model import codec
from rebuilder.model.cause import Cause
from rebuilder.model.digest import Digest
from rebuilder.model.job import JobKind
from rebuilder.store.blobs import LocalBlobs
from rebuilder.world.files import storage_errors
from workers.lease import messages
from workers.lease.http import Answer, Wire
from workers.lease.protocol import Claim, Forbidden

BLOB_LIMIT_BYTES = 8 * 1024**3
_GONE = "`rebuilder submit` owes again what needs it"
_Document = TypeVar("_Document")


class HttpLeases:
    """See `protocol.Leases`."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def claim(self, kind: JobKind, job: int | None = None) -> Claim | None:
        """See Leases.claim. Never tried again by itself: the first may have got a job, which its lease gives back."""
        answer = self._post("/v1/claim", messages.ClaimWanted(kind=kind, job=job), again=False)
        return None if answer.status == 204 else _read(answer, Claim)

    def heartbeat(self, claim: Claim) -> bool:
        """See Leases.heartbeat."""
        answer = self._post("/v1/heartbeat", messages.Heartbeat(job=claim.job, fence=claim.fence))
        return _read(answer, messages.Beat).cancel

    def report_done(self, claim: Claim, output: Digest) -> None:
        """See Leases.report_done."""
        done = messages.Ending.DONE
        self._post("/v1/report", messages.Report(job=claim.job, fence=claim.fence, outcome=done, output=output))

    def report_failed(self, claim: Claim, cause: Cause, message: str) -> None:
        """See Leases.report_failed."""
        self._post(
            "/v1/report",
            messages.Report(
                job=claim.job,
                fence=claim.fence,
                outcome=messages.Ending.FAILED,
                cause=cause,
                message=message[: messages.MESSAGE_LIMIT],
            ),
        )

    def refused(self, task: str, reason: str, job: int | None = None) -> None:
        """See Leases.refused."""
        self._post("/v1/refused", messages.WakeRefused(task=task[:200], reason=reason[:500], job=job))

    def verify_accepted(self) -> None:
        """Raise Forbidden unless the coordinator knows this worker's key and did not revoke it; nothing is claimed."""
        answer = self._wire.ask("GET", _place(Digest.of(b"")), again=False)
        if answer.status not in {200, 404}:
            _raise(answer)

    def _post(self, path: str, document: object, *, again: bool = True) -> Answer:
        answer = self._wire.ask("POST", path, codec.render(document), again=again)
        if answer.status not in {200, 204}:
            _raise(answer)
        return answer


class RemoteBlobs:
    """The coordinator's blobs behind a cache directory of this machine's: see `rebuilder.store.blobs.BlobStore`.

    What comes is verified by its digest before it is kept; what is put is there, too, before `put` returns. `looked` is
    told whether the cache had a blob that was asked for.
    """

    def __init__(self, wire: Wire, cache: LocalBlobs, looked: Callable[[bool], None] = lambda _: None) -> None:
        self._wire = wire
        self._cache = cache
        self._looked = looked

    def put(self, data: bytes) -> Digest:
        """See BlobStore.put."""
        digest = self._cache.put(data)
        self._send(digest)
        return digest

    def put_file(self, path: Path) -> Digest:
        """See BlobStore.put_file."""
        digest = self._cache.put_file(path)
        self._send(digest)
        return digest

    def get(self, digest: Digest, *, limit_bytes: int = 256 * 1024**2) -> bytes:
        """See BlobStore.get."""
        self._ensure(digest, limit_bytes)
        return self._cache.get(digest, limit_bytes=limit_bytes)

    def path(self, digest: Digest) -> Path:
        """See BlobStore.path."""
        self._ensure(digest, BLOB_LIMIT_BYTES)
        return self._cache.path(digest)

    def has(self, digest: Digest) -> bool:
        """Whether the coordinator has the blob, whatever is in the cache."""
        answer = self._wire.ask("HEAD", _place(digest), again=True)
        if answer.status not in {200, 404}:
            _raise(answer)
        return answer.status == 200

    def _send(self, digest: Digest) -> None:
        if self.has(digest):
            return
        answer = self._wire.send(_place(digest), self._cache.path(digest), digest)
        if answer.status not in {200, 201}:
            _raise(answer)

    def _ensure(self, digest: Digest, limit_bytes: int) -> None:
        is_here = self._cache.has(digest)
        self._looked(is_here)
        if is_here:
            return
        with storage_errors(self._cache.root):
            self._cache.root.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self._cache.root, prefix=".part-") as stream:
                answer, found = self._wire.fetch(_place(digest), stream, limit_bytes=limit_bytes)
                if answer.status == 404:
                    raise StorageFailure(f"blob {digest} is neither here nor at the coordinator", hint=_GONE)
                if answer.status != 200:
                    _raise(answer)
                if found != digest:
                    raise DigestMismatch(f"blob: expected {digest}, found {found}", hint="the coordinator's is spoilt")
                stream.flush()
                self._cache.put_file(Path(stream.name))


def enrol(wire: Wire, key: PublicKey, token: str, name: str) -> tuple[messages.Enrolled, PublicKey]:
    """Enrol this worker's key; return what it was enrolled for, and the key that signs its wake-ups."""
    body = codec.render(messages.Enrol(token=token, pem=key.pem, name=name))
    answer = wire.ask("POST", "/v1/enrol", body, again=True)
    if answer.status != 200:
        _raise(answer)
    enrolled = _read(answer, messages.Enrolled)
    if enrolled.keyid != key.keyid:
        raise NetworkFailure(
            f"enrolment: expected key {key.keyid[:16]}, found {enrolled.keyid[:16]}",
            hint="somebody answers another worker's request: farm.coordinator must name the coordinator alone",
        )
    return enrolled, parse_public_key(enrolled.coordinator_pem.encode("utf-8"))


def _place(digest: Digest) -> str:
    return f"/v1/blobs/sha256/{digest.hex}"


def _read(answer: Answer, kind: type[_Document]) -> _Document:
    try:
        return codec.parse(answer.body, kind)
    except HostileInput as error:
        raise NetworkFailure(
            f"the coordinator's answer: {error}", hint="are coordinator and worker of one version?"
        ) from error


def _raise(answer: Answer) -> NoReturn:
    """Turn a refusal into the error that it was at the coordinator."""
    problem = answer.problem()
    match answer.status:
        case 401:
            raise SignatureRefused(problem.error, hint=problem.hint)
        case 403:
            raise Forbidden(problem.error, hint=problem.hint)
        case 409:
            raise LeaseLost(problem.error, hint=problem.hint)
        case 413:
            raise ResourceExhausted(problem.error, hint=problem.hint)
        case 422:
            raise DigestMismatch(problem.error, hint=problem.hint)
        case 507:
            raise StorageFailure(problem.error, hint=problem.hint)
        case _:
            raise UsageError(f"{problem.error} ({answer.status})", hint=problem.hint)
