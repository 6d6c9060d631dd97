"""Blobs in an S3-compatible object store: content-addressed, create-only, verified on every read.

The object of a blob is named as the local store's file is (`sha256/ab/<hex>`). It is created under the condition that
there is none (`If-None-Match: *`, RFC 9110 section 13.1.2), so that who has a key to the bucket by this program still
cannot replace bytes. What is read is hashed before it is handed out, and kept in a local store in front. No other
module speaks obstore.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import S3Store

from rebuilder.errors import ConfigurationError, DigestMismatch, StorageFailure
from rebuilder.model.digest import Digest
from rebuilder.store.blobs import LocalBlobs
from rebuilder.world.files import storage_errors

_LARGEST_BYTES = 5 * 1024**3
"""What S3 takes in one request: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html."""
_PART_BYTES = 8 * 1024**2
_MESSAGE_LIMIT = 300
_SETTINGS = "correct farm.blobs, its endpoint and its key"
_GONE = "`rebuilder submit` owes again what needs it"
_STRANGE = "another program writes to the bucket: give the farm one of its own"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """Where the objects are, and who asks."""

    endpoint: str
    """Address of the server, `https://…` (`http://…` is for loopback and a private network)."""
    name: str
    access_key_id: str
    secret_access_key: str = field(repr=False)
    prefix: str = ""
    region: str = "us-east-1"
    timeout_s: int = 300
    """For one request; a connection is made within ten seconds or given up."""

    def __post_init__(self) -> None:
        parts = urlsplit(self.endpoint)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ConfigurationError(
                f"object store {self.endpoint!r}: an http or https address is expected", hint=_SETTINGS
            )
        if not (self.name and self.access_key_id and self.secret_access_key):
            raise ConfigurationError(
                f"object store {self.endpoint}: a bucket, a key id and its secret are expected", hint=_SETTINGS
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredBlob:
    """A blob that lies in a store, as a listing tells of it."""

    digest: Digest
    size_bytes: int
    modified_at: datetime


class BucketBlobs:
    """Blobs in a bucket, with a local store in front (`rebuilder.store.blobs.BlobStore`)."""

    def __init__(self, bucket: Bucket, cache: LocalBlobs) -> None:
        self.cache = cache
        self._where = f"object store {bucket.endpoint}, bucket {bucket.name}"
        secure = urlsplit(bucket.endpoint).scheme == "https"
        with self._translated():
            self._store = S3Store(
                bucket.name,
                prefix=bucket.prefix or None,
                endpoint=bucket.endpoint,
                region=bucket.region,
                access_key_id=bucket.access_key_id,
                secret_access_key=bucket.secret_access_key,
                conditional_put="etag",
                checksum_algorithm="SHA256",
                virtual_hosted_style_request=False,
                client_options={
                    "allow_http": not secure,
                    "timeout": timedelta(seconds=bucket.timeout_s),
                    "connect_timeout": timedelta(seconds=10),
                },
                retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=30)},
            )

    def put(self, data: bytes) -> Digest:
        """See BlobStore.put."""
        digest = self.cache.put(data)
        self._create(digest, data)
        return digest

    def put_file(self, path: Path) -> Digest:
        """See BlobStore.put_file. What is sent is the verified copy in the cache, which nobody writes to any more."""
        digest = self.cache.put_file(path)
        self._create(digest, self.cache.path(digest))
        return digest

    def get(self, digest: Digest, *, limit_bytes: int = 256 * 1024**2) -> bytes:
        """See BlobStore.get. A damaged copy in the cache is fetched anew, once."""
        self._fetch(digest, limit_bytes=limit_bytes)
        try:
            return self.cache.get(digest, limit_bytes=limit_bytes)
        except DigestMismatch:
            remove_local(self.cache, digest)
            self._fetch(digest, limit_bytes=limit_bytes)
            return self.cache.get(digest, limit_bytes=limit_bytes)

    def path(self, digest: Digest) -> Path:
        """See BlobStore.path. What had to be fetched was verified on its way in."""
        self._fetch(digest, limit_bytes=_LARGEST_BYTES)
        return self.cache.path(digest)

    def has(self, digest: Digest) -> bool:
        """Whether the bucket has the blob; the cache is not asked, for others see the bucket alone."""
        with self._translated():
            try:
                obstore.head(self._store, _name(digest))
            except FileNotFoundError:
                return False
        return True

    def stored(self) -> Iterator[StoredBlob]:
        """List the bucket's blobs, in no order; objects that are not blobs are passed over."""
        with self._translated():
            for batch in obstore.list(self._store, prefix="sha256"):
                for entry in batch:
                    hexadecimal = entry["path"].rpartition("/")[2]
                    if _is_blob(entry["path"], hexadecimal):
                        yield StoredBlob(
                            digest=Digest(hexadecimal), size_bytes=entry["size"], modified_at=entry["last_modified"]
                        )

    def remove(self, digest: Digest) -> None:
        """Forget a blob, here and in the bucket; that it is not there is no fault."""
        with self._translated(), suppress(FileNotFoundError):
            obstore.delete(self._store, _name(digest))
        remove_local(self.cache, digest)

    def remove_half_written(self, before: datetime) -> None:
        """Forget what was never ended, of the copies here; of the bucket's own the server takes care."""
        remove_half_written(self.cache, before)

    def _create(self, digest: Digest, content: bytes | Path) -> None:
        with self._translated():
            try:
                # One request, so that the condition covers all of it: parts are joined without one.
                obstore.put(self._store, _name(digest), content, mode="create", use_multipart=False)
            except AlreadyExistsError:
                return

    def _fetch(self, digest: Digest, *, limit_bytes: int) -> None:
        """Bring a blob into the cache.

        1. The cache is not asked twice for what it has.
        2. The object is not longer than the reader wants.
        3. Every byte is hashed on its way to a temporary file; only what has the name's digest is kept.
        """
        # 1.
        if self.cache.has(digest):
            return
        with storage_errors(self.cache.root):
            self.cache.root.mkdir(parents=True, exist_ok=True)
        with storage_errors(self.cache.root), tempfile.NamedTemporaryFile(dir=self.cache.root, prefix=".in-") as part:
            with self._translated():
                try:
                    answer = obstore.get(self._store, _name(digest))
                except FileNotFoundError:
                    raise StorageFailure(f"blob {digest} is not in {self._where}", hint=_GONE) from None
                # 2.
                if answer.meta["size"] > limit_bytes:
                    raise StorageFailure(f"blob {digest} is longer than {limit_bytes} bytes", hint=_STRANGE)
                # 3.
                found = _write(answer.stream(min_chunk_size=_PART_BYTES), part, limit_bytes)
            if found != digest:
                raise DigestMismatch(
                    f"{self._where}: expected blob {digest}, found {found}",
                    hint="the object was altered: remove it, and it will be made or fetched again",
                )
            part.flush()
            self.cache.put_file(Path(part.name))

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (BaseError, FileNotFoundError, ValueError) as error:
            message = " ".join(str(error).split())[:_MESSAGE_LIMIT]
            raise StorageFailure(f"{self._where}: {message}", hint="is it there, and may this key use it?") from error


def stored_locally(blobs: LocalBlobs) -> Iterator[StoredBlob]:
    """List the blobs of a local store, in no order; half-written ones are passed over."""
    root = blobs.root / "sha256"
    with storage_errors(root):
        for path in root.glob("*/*"):
            if not _is_blob(path.relative_to(blobs.root).as_posix(), path.name):
                continue
            try:
                state = path.stat()
            except FileNotFoundError:
                continue
            moment = datetime.fromtimestamp(state.st_mtime).astimezone()
            yield StoredBlob(digest=Digest(path.name), size_bytes=state.st_size, modified_at=moment)


def remove_half_written(blobs: LocalBlobs, before: datetime) -> None:
    """Forget what was begun before then under a temporary name, and never ended: its writer was killed."""
    with storage_errors(blobs.root):
        for path in blobs.root.rglob(".*"):
            if path.is_file() and path.stat().st_mtime < before.timestamp():
                path.unlink(missing_ok=True)


def remove_local(blobs: LocalBlobs, digest: Digest) -> None:
    """Forget a blob of a local store; that it is not there is no fault."""
    path = blobs.root / _name(digest)
    with storage_errors(path):
        path.unlink(missing_ok=True)


def _name(digest: Digest) -> str:
    return f"sha256/{digest.hex[:2]}/{digest.hex}"


def _is_blob(path: str, hexadecimal: str) -> bool:
    well_formed = len(hexadecimal) == 64 and set(hexadecimal) <= set("0123456789abcdef")
    return well_formed and path.endswith(f"sha256/{hexadecimal[:2]}/{hexadecimal}")


def _write(blocks: Iterator[bytes], target: IO[bytes], limit_bytes: int) -> Digest:
    hasher, size = hashlib.sha256(), 0
    for block in blocks:
        size += len(block)
        if size > limit_bytes:
            raise StorageFailure(f"an object is longer than {limit_bytes} bytes", hint=_STRANGE)
        hasher.update(block)
        target.write(block)
    return Digest(hasher.hexdigest())
