"""Garbage: what nothing names goes, after the grace period; what is named in any way stays."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rebuilder.errors import StorageFailure, UsageError
from rebuilder.model.digest import Digest
from rebuilder.model.job import JobKind, NewJob
from rebuilder.store.blobs import LocalBlobs
from rebuilder.store.database import Database
from rebuilder.store.jobs import Jobs, Selection
from tests.workers.bucket import object_store
from workers.blobs import BucketBlobs, StoredBlob
from workers.garbage import LocalStore, Retention, collect

NOW = datetime.now(tz=UTC).replace(microsecond=0)
LONG_AGO = NOW - timedelta(days=30)
DAY = timedelta(days=1)


@pytest.fixture
def database(tmp_path: Path) -> Database:
    """Open an empty ledger."""
    return Database(tmp_path / "ledger.sqlite")


@pytest.fixture
def blobs(tmp_path: Path) -> LocalBlobs:
    """Open an empty store."""
    return LocalBlobs(tmp_path / "blobs")


@pytest.fixture
def put(blobs: LocalBlobs) -> Callable[..., Digest]:
    """Put bytes, as if a month ago."""

    def old(data: bytes, at: datetime = LONG_AGO) -> Digest:
        digest = blobs.put(data)
        os.utime(blobs.path(digest), (at.timestamp(), at.timestamp()))
        return digest

    return old


def document(*names: Digest) -> bytes:
    """Write a document that names these."""
    return json.dumps({"files": [str(name) for name in names]}).encode()


def owe(database: Database, task: Digest, at: datetime = NOW) -> int:
    """Owe a job with this task."""
    new = NewJob(kind=JobKind.PLAN, target=f"pkg:{task}", suite="trixie", name="demo", input=task)
    return Jobs(database).add([new], at)[0]


def test_what_nothing_names_goes(database: Database, blobs: LocalBlobs, put: Callable[..., Digest]) -> None:
    """Old bytes that no record and no document names are removed, and counted."""
    stray = put(b"stray")
    collected = collect(database, LocalStore(blobs), Retention(), NOW, dry_run=False)
    assert (collected.removed, collected.freed_bytes, collected.kept) == ((stray,), 5, 0)
    assert not blobs.has(stray)


def test_a_dry_run_removes_nothing(database: Database, blobs: LocalBlobs, put: Callable[..., Digest]) -> None:
    """It says the same, and leaves everything."""
    stray = put(b"stray")
    assert collect(database, LocalStore(blobs), Retention(), NOW, dry_run=True).removed == (stray,)
    assert blobs.has(stray)


def test_young_blobs_are_left(database: Database, blobs: LocalBlobs, put: Callable[..., Digest]) -> None:
    """What a worker has put and not reported yet is within the grace period."""
    fresh = put(b"just put", NOW - timedelta(hours=3))
    collected = collect(database, LocalStore(blobs), Retention(grace=DAY), NOW, dry_run=False)
    assert (collected.removed, collected.young) == ((), 1)
    assert blobs.has(fresh)


def test_documents_are_followed(database: Database, blobs: LocalBlobs, put: Callable[..., Digest]) -> None:
    """A task's files stay, also those that are named inside a signed envelope inside a document."""
    log, output = put(b"log"), put(b"output")
    inner = base64.b64encode(document(log, output)).decode()
    record = put(json.dumps({"payload": inner, "payloadType": "x", "signatures": []}).encode())
    owe(database, put(document(record)))
    collected = collect(database, LocalStore(blobs), Retention(finished=DAY), NOW, dry_run=False)
    assert (collected.removed, collected.kept) == ((), 4)


def test_hexadecimal_in_a_file_names_nothing(database: Database, blobs: LocalBlobs, put: Callable[..., Digest]) -> None:
    """Only documents are followed: a file of a package that mentions a digest keeps nothing."""
    stray = put(b"stray")
    owe(database, put(f"#!/bin/sh\n# {stray.hex}\n".encode()))
    assert collect(database, LocalStore(blobs), Retention(), NOW, dry_run=False).removed == (stray,)


def test_finished_work_keeps_its_files_as_long_as_retention_says(
    database: Database, blobs: LocalBlobs, put: Callable[..., Digest]
) -> None:
    """A cancelled job's task stays by default, and goes when it ended longer ago than its retention."""
    output = put(b"output")
    task = put(document(output))
    number = owe(database, task, LONG_AGO)
    Jobs(database).cancel(Selection(jobs=(number,)), NOW - 3 * DAY, reason="test")
    store = LocalStore(blobs)
    assert collect(database, store, Retention(), NOW, dry_run=False).removed == ()
    assert collect(database, store, Retention(finished=5 * DAY), NOW, dry_run=False).removed == ()
    gone = collect(database, store, Retention(finished=2 * DAY), NOW, dry_run=False).removed
    assert set(gone) == {task, output}


def test_a_damaged_document_ends_nothing(database: Database, blobs: LocalBlobs, put: Callable[..., Digest]) -> None:
    """A document that rotted keeps itself, so that its reader can say so."""
    task = put(document(put(b"lost")))
    path = blobs.path(task)
    path.chmod(0o644)
    path.write_bytes(b"{rotten")
    owe(database, task)
    assert collect(database, LocalStore(blobs), Retention(), NOW, dry_run=False).removed == (Digest.of(b"lost"),)
    assert blobs.has(task)


def test_a_store_that_fails_while_it_is_read_loses_nothing(
    database: Database, blobs: LocalBlobs, put: Callable[..., Digest]
) -> None:
    """A document that cannot be had is no document that names nothing: the collection ends without a removal."""

    class Failing(LocalStore):
        def get(self, digest: Digest, *, limit_bytes: int) -> bytes:
            raise StorageFailure("the server does not answer")

        def stored(self) -> Iterator[StoredBlob]:
            return super().stored()

    kept = put(b"named by the document")
    owe(database, put(document(kept)))
    with pytest.raises(StorageFailure, match="does not answer"):
        collect(database, Failing(blobs), Retention(), NOW, dry_run=False)
    assert blobs.has(kept)


def test_what_was_half_written_goes_after_the_grace_period(
    database: Database, blobs: LocalBlobs, put: Callable[..., Digest]
) -> None:
    """Who was killed while he put a blob left a file under a temporary name; one that is young may be written still."""
    whole = blobs.path(put(b"named by nothing, and young", NOW))
    left, young = (whole.with_name(name) for name in (".new-left", ".new-young"))
    for path, at in ((left, LONG_AGO), (young, NOW)):
        path.write_bytes(b"half")
        os.utime(path, (at.timestamp(), at.timestamp()))
    for dry_run, there in ((True, True), (False, False)):
        collect(database, LocalStore(blobs), Retention(), NOW, dry_run=dry_run)
        assert (left.exists(), young.exists(), whole.exists()) == (there, True, True)


def test_a_grace_of_nothing_is_refused() -> None:
    """The period within which a worker reports must not be taken away."""
    with pytest.raises(UsageError, match="at least an hour, found 0:00:00"):
        Retention(grace=timedelta())


def test_the_bucket_is_collected_as_well(database: Database, tmp_path: Path) -> None:
    """The same against an object store: what is named stays, what is not goes from the bucket."""
    with object_store() as bucket:
        store = BucketBlobs(bucket, LocalBlobs(tmp_path / "cache"))
        stray, file = store.put(b"stray"), store.put(b"file")
        owe(database, store.put(document(file)))
        later = datetime.now(tz=UTC) + 5 * DAY
        assert collect(database, store, Retention(), later, dry_run=False).removed == (stray,)
        assert not store.has(stray)
        assert store.has(file)
