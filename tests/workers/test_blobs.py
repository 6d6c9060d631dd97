"""Blobs in an object store, against a real server on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import obstore
import pytest

from rebuilder.errors import ConfigurationError, DigestMismatch, StorageFailure
from rebuilder.model.digest import Digest
from rebuilder.store.blobs import LocalBlobs
from tests.workers.bucket import SECRET, object_store, outsider
from workers.blobs import Bucket, BucketBlobs, remove_local, stored_locally
from workers.coordinator.front import EVERY_S, shrinking

CONTENT = b"some bytes that two machines share"
DIGEST = Digest.of(CONTENT)
PLACE = f"sha256/{DIGEST.hex[:2]}/{DIGEST.hex}"


@pytest.fixture(scope="module")
def server() -> Iterator[Bucket]:
    """One server for all."""
    with object_store() as bucket:
        yield bucket


@pytest.fixture
def bucket(server: Bucket) -> Bucket:
    """Give the empty bucket."""
    store = outsider(server)
    for batch in obstore.list(store):
        obstore.delete(store, [entry["path"] for entry in batch])
    return server


def machine(bucket: Bucket, directory: Path) -> BucketBlobs:
    """Open the bucket from a machine with an empty cache."""
    return BucketBlobs(bucket, LocalBlobs(directory))


def test_what_one_machine_puts_another_gets(bucket: Bucket, tmp_path: Path) -> None:
    """Bytes and files arrive whole under their digest, with a cache of each machine in front."""
    here, there = machine(bucket, tmp_path / "here"), machine(bucket, tmp_path / "there")
    large = tmp_path / "large"
    large.write_bytes(b"x" * 9_000_000)
    assert here.put(CONTENT) == DIGEST
    digest = here.put_file(large)
    assert there.has(DIGEST)
    assert there.get(DIGEST) == CONTENT
    assert there.path(digest).read_bytes() == large.read_bytes()
    assert there.cache.has(DIGEST)


def test_copies_keep_a_budget_and_come_again(bucket: Bucket, tmp_path: Path) -> None:
    """A coordinator that reads a bucket through its cache does not copy all of it in the end; nothing is lost."""
    blobs, now = machine(bucket, tmp_path), [0.0]
    shrink = shrinking(blobs.cache, 250, lambda: now[0])
    digests = [blobs.put(bytes([number]) * 100) for number in range(4)]
    part = tmp_path / ".in-now"
    part.write_bytes(b"somebody fetches")
    shrink()
    assert sum(blobs.cache.has(digest) for digest in digests) == 2
    assert [blobs.get(digest)[0] for digest in digests] == [0, 1, 2, 3]
    assert part.exists()
    shrink()
    assert all(blobs.cache.has(digest) for digest in digests)
    now[0] += EVERY_S
    shrink()
    assert sum(blobs.cache.has(digest) for digest in digests) == 2


def test_the_cache_answers_when_the_server_is_gone(tmp_path: Path) -> None:
    """A blob that was read once is read again without the object store; what was not is our own error."""
    with object_store() as bucket:
        blobs = machine(bucket, tmp_path)
        blobs.put(CONTENT)
    assert blobs.get(DIGEST) == CONTENT
    with pytest.raises(StorageFailure, match=r"object store http://127\.0\.0\.1:\d+, bucket blobs: "):
        blobs.get(Digest.of(b"never read"))


def test_putting_again_changes_nothing(bucket: Bucket, tmp_path: Path) -> None:
    """The second writer of the same bytes leaves the first one's object."""
    machine(bucket, tmp_path / "one").put(CONTENT)
    before = obstore.head(outsider(bucket), PLACE)["last_modified"]
    machine(bucket, tmp_path / "two").put(CONTENT)
    assert obstore.head(outsider(bucket), PLACE)["last_modified"] == before


def test_the_server_is_told_to_create_only(bucket: Bucket, tmp_path: Path) -> None:
    """An object that is there under the name is never replaced, not even when it holds other bytes."""
    obstore.put(outsider(bucket), PLACE, b"planted")
    machine(bucket, tmp_path).put(CONTENT)
    assert bytes(obstore.get(outsider(bucket), PLACE).bytes()) == b"planted"


@pytest.mark.parametrize(
    "altered", [CONTENT[:-1] + b"?", CONTENT[:-5], CONTENT + b"!", b""], ids=["flipped", "cut", "longer", "empty"]
)
def test_altered_objects_are_refused(bucket: Bucket, tmp_path: Path, altered: bytes) -> None:
    """An object whose bytes are not those of its name is not handed out, as bytes or as a file, and not kept."""
    machine(bucket, tmp_path / "honest").put(CONTENT)
    obstore.put(outsider(bucket), PLACE, altered)
    reader = machine(bucket, tmp_path / "reader")
    for read in (reader.get, reader.path):
        with pytest.raises(DigestMismatch, match=f"expected blob {DIGEST}, found {Digest.of(altered)}"):
            read(DIGEST)
    assert not reader.cache.has(DIGEST)
    assert list(reader.cache.root.iterdir()) == []


def test_another_blob_under_the_name_is_refused(bucket: Bucket, tmp_path: Path) -> None:
    """A well-formed blob that was moved to another blob's name is refused."""
    other = machine(bucket, tmp_path / "honest").put(b"another blob")
    obstore.copy(outsider(bucket), f"sha256/{other.hex[:2]}/{other.hex}", PLACE)
    with pytest.raises(DigestMismatch, match=str(other)):
        machine(bucket, tmp_path / "reader").get(DIGEST)


def test_a_damaged_cache_is_fetched_again(bucket: Bucket, tmp_path: Path) -> None:
    """Bytes that went bad in the cache are replaced by the bucket's."""
    blobs = machine(bucket, tmp_path)
    blobs.put(CONTENT)
    cached = blobs.cache.path(DIGEST)
    cached.chmod(0o644)
    cached.write_bytes(b"rotten")
    assert blobs.get(DIGEST) == CONTENT


def test_a_longer_object_than_wanted_is_refused(bucket: Bucket, tmp_path: Path) -> None:
    """Nothing beyond the reader's limit is downloaded."""
    machine(bucket, tmp_path / "one").put(CONTENT)
    reader = machine(bucket, tmp_path / "two")
    with pytest.raises(StorageFailure, match=f"{DIGEST} is longer than 10 bytes"):
        reader.get(DIGEST, limit_bytes=10)
    assert not reader.cache.has(DIGEST)


def test_an_absent_blob_is_a_storage_failure(bucket: Bucket, tmp_path: Path) -> None:
    """What is not there is said with its name and place."""
    blobs = machine(bucket, tmp_path)
    assert not blobs.has(DIGEST)
    with pytest.raises(StorageFailure, match=rf"blob {DIGEST} is not in object store .*, bucket blobs"):
        blobs.get(DIGEST)


def test_listing_and_removing(bucket: Bucket, tmp_path: Path) -> None:
    """A listing names blobs alone; a removed one is gone on both sides, and removing it again is no fault."""
    blobs = machine(bucket, tmp_path)
    blobs.put(CONTENT)
    obstore.put(outsider(bucket), "sha256/ab/not-a-digest", b"")
    obstore.put(outsider(bucket), f"elsewhere/sha256/{DIGEST.hex[:2]}/{DIGEST.hex}", b"")
    assert [(entry.digest, entry.size_bytes) for entry in blobs.stored()] == [(DIGEST, len(CONTENT))]
    assert [entry.digest for entry in stored_locally(blobs.cache)] == [DIGEST]
    blobs.remove(DIGEST)
    blobs.remove(DIGEST)
    assert not blobs.has(DIGEST)
    assert not blobs.cache.has(DIGEST)
    remove_local(blobs.cache, DIGEST)


def test_a_bucket_that_is_not_there_is_our_error(bucket: Bucket, tmp_path: Path) -> None:
    """A wrong bucket is told at the first use, with its name."""
    wrong = Bucket(endpoint=bucket.endpoint, name="nowhere", access_key_id="tester", secret_access_key=SECRET)
    with pytest.raises(StorageFailure, match="bucket nowhere"):
        machine(wrong, tmp_path).put(CONTENT)


@pytest.mark.parametrize(
    ("endpoint", "name", "message"),
    [
        ("ftp://127.0.0.1", "blobs", "http or https"),
        ("http://", "blobs", "http or https"),
        ("http://a", "", "a bucket"),
    ],
)
def test_a_half_configured_bucket_is_refused(endpoint: str, name: str, message: str) -> None:
    """Address, bucket and key are wanted, and the secret is never shown."""
    with pytest.raises(ConfigurationError, match=message):
        Bucket(endpoint=endpoint, name=name, access_key_id="a", secret_access_key=SECRET)
    assert SECRET not in repr(Bucket(endpoint="http://a", name="b", access_key_id="a", secret_access_key=SECRET))
