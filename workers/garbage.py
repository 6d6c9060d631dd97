"""Collecting garbage: blobs that nothing in the ledger names any more, directly or through a document.

A blob that is younger than the grace period is never touched: a worker puts it first, and the ledger learns of it with
the report. What is removed too early by a race (old bytes that are wanted again in the same moment) costs work, not
truth: whoever misses a blob fails for infrastructure's sake, and the job that makes it is done again.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from rebuilder.errors import DigestMismatch, UsageError
from rebuilder.model.digest import Digest
from rebuilder.store.blobs import LocalBlobs
from rebuilder.store.database import Database
from rebuilder.store.named import named_blobs
from workers.blobs import StoredBlob, remove_half_written, remove_local, stored_locally

_DOCUMENT_LIMIT_BYTES = 8 * 1024**2
_DIGEST = re.compile(rb"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """What is kept, and how long."""

    grace: timedelta = timedelta(days=2)
    """No blob is removed before it is that old."""
    finished: timedelta | None = None
    """How long after its end a case keeps its files; then only its documents stay. None: for ever."""

    def __post_init__(self) -> None:
        if self.grace < timedelta(hours=1):
            raise UsageError(
                f"expected a grace period of at least an hour, found {self.grace}",
                hint="a job's blobs are put before the ledger names them",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What a collection did, or would do."""

    kept: int
    young: int
    """Named by nothing, and within the grace period."""
    removed: tuple[Digest, ...]
    freed_bytes: int


class Store(Protocol):
    """A blob store that can be listed and emptied."""

    def stored(self) -> Iterator[StoredBlob]:
        """List the blobs."""

    def get(self, digest: Digest, *, limit_bytes: int) -> bytes:
        """See BlobStore.get."""

    def remove(self, digest: Digest) -> None:
        """Forget a blob."""

    def remove_half_written(self, before: datetime) -> None:
        """Forget what was begun before then, and never ended."""


class LocalStore:
    """The local directory as a store to collect in."""

    def __init__(self, blobs: LocalBlobs) -> None:
        self._blobs = blobs

    def stored(self) -> Iterator[StoredBlob]:
        """See Store.stored."""
        return stored_locally(self._blobs)

    def get(self, digest: Digest, *, limit_bytes: int) -> bytes:
        """See BlobStore.get."""
        return self._blobs.get(digest, limit_bytes=limit_bytes)

    def remove(self, digest: Digest) -> None:
        """See Store.remove."""
        remove_local(self._blobs, digest)

    def remove_half_written(self, before: datetime) -> None:
        """See Store.remove_half_written."""
        remove_half_written(self._blobs, before)


def collect(database: Database, store: Store, retention: Retention, now: datetime, *, dry_run: bool) -> Collected:
    """Remove what nothing names; with `dry_run` only say what that would be.

    1. List the store first: what is put after that is not looked at.
    2. Ask the ledger what it names, then follow the documents among that.
    3. Remove what is named by nothing and older than the grace period, and what was half written by then.

    A document that cannot be read keeps itself alone; that it is damaged is for its reader to say. The store's failure
    to list or to answer ends the collection before anything is removed.
    """
    # 1.
    stored = {blob.digest: blob for blob in store.stored()}
    # 2.
    before = None if retention.finished is None else now - retention.finished
    named = named_blobs(database, finished_before=before)
    wanted = named.documents | _reached(named.followed, stored, store)
    # 3.
    unnamed = [blob for digest, blob in sorted(stored.items()) if digest not in wanted]
    old = [blob for blob in unnamed if now - blob.modified_at > retention.grace]
    if not dry_run:
        for blob in old:
            store.remove(blob.digest)
        store.remove_half_written(now - retention.grace)
    return Collected(
        kept=len(stored) - len(unnamed),
        young=len(unnamed) - len(old),
        removed=tuple(blob.digest for blob in old),
        freed_bytes=sum(blob.size_bytes for blob in old),
    )


def _reached(roots: frozenset[Digest], stored: dict[Digest, StoredBlob], store: Store) -> frozenset[Digest]:
    """Whatever documents name, and the documents that those name."""
    reached: set[Digest] = set()
    open_ = list(roots)
    while open_:
        digest = open_.pop()
        if digest in reached:
            continue
        reached.add(digest)
        blob = stored.get(digest)
        if blob is not None and blob.size_bytes <= _DOCUMENT_LIMIT_BYTES:
            open_.extend(_names(digest, store) - reached)
    return frozenset(reached)


def _names(digest: Digest, store: Store) -> set[Digest]:
    try:
        data = store.get(digest, limit_bytes=_DOCUMENT_LIMIT_BYTES)
    except DigestMismatch:
        return set()
    if not data.startswith(b"{"):
        return set()
    texts = (data, _payload(data))
    return {Digest(found.decode()) for text in texts for found in _DIGEST.findall(text)}


def _payload(data: bytes) -> bytes:
    """Unwrap what a DSSE envelope carries (https://github.com/secure-systems-lab/dsse); nothing for what is none."""
    try:
        envelope = json.loads(data)
        return base64.b64decode(envelope["payload"]) if isinstance(envelope, dict) and "payload" in envelope else b""
    except (ValueError, TypeError, RecursionError, binascii.Error):
        return b""
