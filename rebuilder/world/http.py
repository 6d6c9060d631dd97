"""The one module that downloads. Everything it brings is untrusted until its digest or signature has been checked."""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol
from urllib.parse import urlsplit
from urllib.request import url2pathname

import requests
import urllib3.exceptions

from rebuilder.errors import DigestMismatch, NetworkFailure, StorageFailure
from rebuilder.model.digest import Digest
from rebuilder.world.files import storage_errors
from rebuilder.world.scratch import prefix as scratch_prefix

_BLOCK = 256 * 1024
_OTHER_BYTES = "the mirror serves other bytes than were signed for; try another mirror"
_USER_AGENT = "rebuilder/0.1"


class NotFound(NetworkFailure):
    """The server answered that it has no such file (404 or 410)."""


class Fetcher(Protocol):
    """Brings bytes from outside. Tests use a local implementation."""

    def get(self, url: str, *, limit_bytes: int) -> bytes:
        """Return a small body whole; raise NotFound, NetworkFailure (also when it is longer than the limit)."""

    def download(
        self, url: str, path: Path, *, size_bytes: int | None, digest: Digest | None, limit_bytes: int
    ) -> Digest:
        """Bring a body to `path`, which exists afterwards only if size and digest are as expected; return its digest.

        Raise NotFound, NetworkFailure (also for a transfer that breaks off), DigestMismatch (also for another length).
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long to wait for a server."""

    connect_s: float = 10
    read_s: float = 30
    total_s: float = 1800
    attempts: int = 3
    pause_s: float = 0.5
    slowest_bytes_s: int = 1024
    """A transfer that is below this after `grace_s` is given up."""
    grace_s: float = 10


class HttpFetcher:
    """Fetches over http, https and file, with proxies and certificate bundles as the environment says.

    Bounded in time and size; transient failures are tried again with growing pauses; a redirect to another scheme
    than http and https is refused.
    """

    def __init__(self, patience: Patience | None = None) -> None:
        self._patience = patience or Patience()
        self._local = threading.local()

    def get(self, url: str, *, limit_bytes: int) -> bytes:
        """See Fetcher.get."""
        with tempfile.TemporaryDirectory(prefix=scratch_prefix("fetch")) as directory:
            path = Path(directory, "body")
            self.download(url, path, size_bytes=None, digest=None, limit_bytes=limit_bytes)
            return path.read_bytes()

    def download(
        self, url: str, path: Path, *, size_bytes: int | None, digest: Digest | None, limit_bytes: int
    ) -> Digest:
        """See Fetcher.download."""
        if size_bytes is not None and size_bytes > limit_bytes:
            raise NetworkFailure(f"{_shown(url)}: {size_bytes} bytes announced; at most {limit_bytes} are accepted")
        for attempt in range(self._patience.attempts):
            if attempt:
                time.sleep(self._patience.pause_s * 2**attempt)
            try:
                return self._once(url, path, size_bytes, digest, limit_bytes)
            except NotFound:
                raise
            except NetworkFailure:
                if attempt + 1 == self._patience.attempts:
                    raise
        raise NetworkFailure(f"{_shown(url)}: no attempt was allowed")

    def _once(self, url: str, path: Path, size_bytes: int | None, digest: Digest | None, limit_bytes: int) -> Digest:
        bound = size_bytes if size_bytes is not None else limit_bytes
        with storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(prefix=".part-", dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                found = self._transfer(url, stream, bound, is_signed=size_bytes is not None)
            if size_bytes is not None and os.path.getsize(name) != size_bytes:
                # A transfer that broke off has raised before: this is a whole body, of another length.
                raise DigestMismatch(
                    f"{path.name}: expected {size_bytes} bytes, found {os.path.getsize(name)}", hint=_OTHER_BYTES
                )
            if digest is not None and found != digest:
                raise DigestMismatch(f"{path.name}: expected {digest}, found {found}", hint=_OTHER_BYTES)
            os.chmod(name, 0o644)
            os.replace(name, path)
            return found  # noqa: TRY300 - nothing after the move may fail
        except OSError as error:
            raise StorageFailure(f"{path}: {error.strerror or error}") from error
        finally:
            if os.path.exists(name):
                os.unlink(name)

    def _transfer(self, url: str, stream: IO[bytes], bound: int, *, is_signed: bool) -> Digest:
        hasher = hashlib.sha256()
        taken = 0
        started = time.monotonic()
        for block in self._blocks(url):
            taken += len(block)
            if taken > bound and is_signed:
                name = urlsplit(url).path.rpartition("/")[2]
                raise DigestMismatch(f"{name}: expected {bound} bytes, found more", hint=_OTHER_BYTES)
            if taken > bound:
                raise NetworkFailure(f"{_shown(url)}: longer than the {bound} bytes expected")
            elapsed = time.monotonic() - started
            if elapsed > self._patience.total_s or (
                elapsed > self._patience.grace_s and taken < elapsed * self._patience.slowest_bytes_s
            ):
                raise NetworkFailure(f"{_shown(url)}: too slow: {taken} bytes in {elapsed:.0f} s")
            hasher.update(block)
            stream.write(block)
        return Digest(hasher.hexdigest())

    def _blocks(self, url: str) -> Iterator[bytes]:
        parts = urlsplit(url)
        if parts.scheme == "file":
            yield from _local_blocks(Path(url2pathname(parts.path)), url)
            return
        if parts.scheme not in {"http", "https"}:
            raise NetworkFailure(f"{_shown(url)}: only http, https and file are fetched")
        try:
            with self._session().get(
                url,
                stream=True,
                timeout=(self._patience.connect_s, self._patience.read_s),
                headers={"Accept-Encoding": "identity"},
            ) as answer:
                if answer.status_code in {404, 410}:
                    raise NotFound(f"{_shown(url)}: not found ({answer.status_code})")
                if answer.status_code != 200:
                    raise NetworkFailure(f"{_shown(url)}: the server answered {answer.status_code}")
                # What has arrived, not a full block: a server that drips must be seen to drip.
                while block := answer.raw.read1(_BLOCK, decode_content=False):
                    yield block
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise NetworkFailure(
                f"{_shown(url)}: {_words(error)}", hint="is the mirror reachable from here?"
            ) from error

    def _session(self) -> requests.Session:
        session = getattr(self._local, "session", None)
        if session is None:
            session = requests.Session()
            session.headers["User-Agent"] = _USER_AGENT
            session.max_redirects = 5
            self._local.session = session
        return session


def _local_blocks(path: Path, url: str) -> Iterator[bytes]:
    try:
        with path.open("rb") as stream:
            while block := stream.read(_BLOCK):
                yield block
    except FileNotFoundError as error:
        raise NotFound(f"{_shown(url)}: no such file") from error
    except OSError as error:
        raise NetworkFailure(f"{_shown(url)}: {error.strerror}") from error


_FAILURES: tuple[tuple[tuple[type[Exception], ...], str], ...] = (
    ((requests.exceptions.TooManyRedirects,), "redirected too often"),
    ((requests.exceptions.SSLError, urllib3.exceptions.SSLError), "the server's certificate was not accepted"),
    ((requests.exceptions.ProxyError, urllib3.exceptions.ProxyError), "the proxy did not connect"),
    ((requests.exceptions.ConnectTimeout, urllib3.exceptions.ConnectTimeoutError), "no connection within the time"),
    ((requests.exceptions.Timeout, urllib3.exceptions.TimeoutError), "no answer within the time"),
    ((requests.exceptions.ChunkedEncodingError, urllib3.exceptions.ProtocolError), "the transfer broke off"),
    ((requests.exceptions.InvalidProxyURL,), "the proxy's address is none"),
    ((requests.exceptions.InvalidSchema,), "redirected to something that is not http"),
    ((requests.exceptions.InvalidURL, requests.exceptions.MissingSchema), "not an address"),
    ((urllib3.exceptions.LocationValueError,), "not an address"),
    ((requests.exceptions.ConnectionError, urllib3.exceptions.NewConnectionError), "the connection failed"),
)
"""What a failure is in plain words; the first that fits."""


def _words(error: Exception) -> str:
    return next((words for kinds, words in _FAILURES if isinstance(error, kinds)), "the transfer failed")


def _shown(url: str) -> str:
    """An address without credentials, for messages."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}{parts.path}"[:300]
