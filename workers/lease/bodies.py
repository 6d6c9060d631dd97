"""Reading what a client sends, within bounds of size and time: a body is read whole, or the request ends."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from rebuilder.errors import DigestMismatch
from rebuilder.model.digest import Digest
from rebuilder.world.files import storage_errors

_BLOCK = 1024 * 1024
_SHORTER = "send less; the worker's program may be another one than the coordinator's"
_ANNOUNCE = "say in Content-Length how many bytes follow"
_NETWORK = "look at the network between, then send it again"


class Refused(HTTPException):
    """A refusal with what to do about it."""

    def __init__(self, status: int, detail: str, *, hint: str) -> None:
        super().__init__(status, detail)
        self.hint = hint


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one request may cost."""

    document_bytes: int = 256 * 1024
    document_s: float = 20
    blob_bytes: int = 8 * 1024**3
    """Of one blob: logs, outputs, root file systems."""
    blob_grace_s: float = 30
    slowest_bytes_s: int = 64 * 1024
    """A blob has its grace and the time that its size needs at this pace."""
    uploads: int = 16
    """Blobs that are received at a time; more wait."""
    uploads_each: int = 4
    """The same for one worker, so that nobody keeps the others waiting."""
    day_bytes: int = 64 * 1024**3
    """Of new blobs, a day and worker (`workers.lease.allowance`)."""
    reserve_bytes: int = 1024**3
    """Of the disk, that no upload may take: the ledger may be on it."""


async def read_document(request: Request, limits: Limits) -> bytes:
    """Read a small body; 413 when it is longer than allowed, 408 when it takes too long."""
    _verify_length(request, limits.document_bytes, is_required=False)
    data = bytearray()
    async with _within(limits.document_s):
        async for block in request.stream():
            data += block
            if len(data) > limits.document_bytes:
                raise Refused(413, f"a body of more than {limits.document_bytes} bytes", hint=_SHORTER)
    return bytes(data)


def announced_length(request: Request, limits: Limits) -> int:
    """Return how long a blob is said to be; 411 when it is not said, 413 when that is longer than allowed."""
    return _verify_length(request, limits.blob_bytes, is_required=True)


@asynccontextmanager
async def received_blob(request: Request, expected: Digest, spool: Path, limits: Limits) -> AsyncIterator[Path]:
    """Receive a body into a file on the disk of `spool`, and verify its digest while it comes.

    The file has no name there, so that a coordinator that is killed leaves nothing of it.
    """
    length = announced_length(request, limits)
    with storage_errors(spool):
        spool.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(spool).free - length < limits.reserve_bytes:
            raise Refused(
                507, "the coordinator's disk is nearly full", hint="free some space there: `python -m workers garbage`"
            )
        with tempfile.TemporaryFile(dir=spool) as stream:
            async with _within(limits.blob_grace_s + length / limits.slowest_bytes_s):
                found = await _spool(request, stream, length)
            if found != expected:
                hint = "send the bytes that the name says"
                raise DigestMismatch(f"blob: expected {expected}, found {found}", hint=hint)
            yield Path(f"/proc/self/fd/{stream.fileno()}")


async def _spool(request: Request, stream: IO[bytes], length: int) -> Digest:
    hasher, taken, pending = hashlib.sha256(), 0, bytearray()
    async for block in request.stream():
        taken += len(block)
        if taken > length:
            raise Refused(413, f"a body of more than the {length} bytes announced", hint=_ANNOUNCE)
        hasher.update(block)
        pending += block
        if len(pending) >= _BLOCK:
            await run_in_threadpool(stream.write, bytes(pending))
            pending.clear()
    stream.write(pending)
    stream.flush()
    return Digest(hasher.hexdigest())


def _verify_length(request: Request, limit: int, *, is_required: bool) -> int:
    text = request.headers.get("content-length")
    if text is None and not is_required:
        return 0
    if text is None or not text.isascii() or not text.isdigit():
        raise Refused(411, "the length of the body is to be announced", hint=_ANNOUNCE)
    if len(text) > 15 or int(text) > limit:
        raise Refused(413, f"a body of {text[:20]} bytes; at most {limit} are taken", hint=_SHORTER)
    return int(text)


@asynccontextmanager
async def _within(seconds: float) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise Refused(408, f"the body did not come within {seconds:.0f} s", hint=_NETWORK) from error
    except ClientDisconnect as error:
        raise Refused(400, "the body broke off", hint=_NETWORK) from error
