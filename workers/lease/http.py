"""Signed requests of one worker to its coordinator: bounded in time and size, tried again where that is harmless.

The worker's own clock may be wrong: when a signature is refused, the coordinator's time is asked for, once, and signed
by from then on.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

import requests  # noqa: TID251 - the one module of the workers that talks to the coordinator
import urllib3.exceptions

from rebuilder.attest.signing import Signer
from rebuilder.errors import ConfigurationError, HostileInput, NetworkFailure
from rebuilder.model import codec
from rebuilder.model.digest import Digest
from rebuilder.world.files import storage_errors
from workers.lease import messages, signature
from workers.lease.signature import Message

_ANSWER_LIMIT = 1024 * 1024
_BLOCK = 256 * 1024
_NO_BODY = Digest.of(b"")
_MEANINGS = {401: "the request is signed wrongly", 403: "this worker's key is not enrolled, or was revoked"}
"""Of answers without words: those to HEAD have none."""
_OTHER = "farm.coordinator may name something else"
_NO_ROOM = 507
"""Of a server's failures the one that to ask again at once does not change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long to wait for the coordinator."""

    connect_s: float = 10
    read_s: float = 60
    document_s: float = 90
    """For a whole answer that is a document."""
    blob_grace_s: float = 60
    slowest_bytes_s: int = 32 * 1024
    """A blob has its grace and the time that its size needs at this pace."""
    attempts: int = 5
    pause_s: float = 0.5
    """Before the second attempt; twice as long before each further one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back, whole."""

    status: int
    body: bytes

    def problem(self) -> messages.Problem:
        """Read what an answer says that is no success."""
        try:
            return codec.parse(self.body, messages.Problem)
        except HostileInput:
            meaning = _MEANINGS.get(self.status, "nothing that we understand")
            return messages.Problem(error=f"the coordinator answered {self.status}: {meaning}")


class Wire:
    """Sends what a worker asks, signed with its key."""

    def __init__(
        self,
        base: str,
        signer: Signer,
        *,
        authority: Path | None = None,
        patience: Patience | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Talk to the coordinator at `base`; `authority` is the file with the certificate authority for https."""
        parts = urlsplit(base)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
            raise ConfigurationError(
                f"coordinator: expected http:// or https:// and a host, found {base[:80]!r}",
                hint="correct farm.coordinator: http://HOST:8700, or https:// and the name of the proxy before it",
            )
        self._base = base.rstrip("/")
        self._prefix = parts.path.rstrip("/")
        self._signer = signer
        self._verify: str | bool = str(authority) if authority else True
        self._patience = patience or Patience()
        self._clock = clock
        self._offset = timedelta(0)
        self._local = threading.local()

    def ask(self, method: str, path: str, body: bytes = b"", *, again: bool) -> Answer:
        """Send a document or nothing, and take the whole answer; `again`: to do it twice is harmless."""
        digest = Digest.of(body)
        return self._persist(lambda: self._corrected(lambda: self._document(method, path, body, digest)), again=again)

    def send(self, path: str, file: Path, digest: Digest) -> Answer:
        """Put a file's bytes, which have that digest."""

        def once() -> Answer:
            with storage_errors(file), file.open("rb") as stream:
                # requests does not announce the length of a file that is empty
                return self._document("PUT", path, b"" if digest == _NO_BODY else stream, digest)

        return self._persist(lambda: self._corrected(once), again=True)

    def fetch(self, path: str, into: IO[bytes], *, limit_bytes: int) -> tuple[Answer, Digest]:
        """Get a body into a file, emptied before each attempt, and hash it; the caller compares."""
        found = _NO_BODY

        def once() -> Answer:
            nonlocal found
            with self._request("GET", path, b"", _NO_BODY) as response:
                if response.status_code != 200:
                    return Answer(status=response.status_code, body=self._read(response, _ANSWER_LIMIT))
                into.seek(0)
                into.truncate()
                hasher = hashlib.sha256()
                for block in self._blocks(response, limit_bytes, self._patience.blob_grace_s):
                    hasher.update(block)
                    into.write(block)
                found = Digest(hasher.hexdigest())
                return Answer(status=200, body=b"")

        return self._persist(lambda: self._corrected(once), again=True), found

    def _persist(self, once: Callable[[], Answer], *, again: bool) -> Answer:
        """Try again after a failure of the connection, or an answer that says that the coordinator is not able now."""
        attempts = self._patience.attempts if again else 1
        for attempt in range(attempts):
            if attempt:
                time.sleep(self._patience.pause_s * 2 ** (attempt - 1))
            try:
                answer = once()
            except NetworkFailure:
                if attempt + 1 == attempts:
                    raise
                continue
            if (answer.status < 500 and answer.status != 408) or answer.status == _NO_ROOM:
                return answer
            if attempt + 1 == attempts:
                problem = answer.problem()
                raise NetworkFailure(f"coordinator: {problem.error} ({answer.status})", hint=problem.hint)
        raise AssertionError("at least one attempt is made")

    def _corrected(self, once: Callable[[], Answer]) -> Answer:
        """Repeat a request that was refused as signed wrongly, by the coordinator's time if ours is another."""
        answer = once()
        if answer.status != 401:
            return answer
        with self._exchange("GET", "/v1/time", {}, b"") as response:
            told = codec.parse(self._read(response, _ANSWER_LIMIT), messages.Time)
        offset = told.now - self._clock()
        if abs(offset - self._offset) < timedelta(seconds=2):
            return answer
        self._offset = offset
        return once()

    def _document(self, method: str, path: str, body: bytes | IO[bytes], digest: Digest) -> Answer:
        with self._request(method, path, body, digest) as response:
            return Answer(status=response.status_code, body=self._read(response, _ANSWER_LIMIT))

    @contextmanager
    def _request(self, method: str, path: str, body: bytes | IO[bytes], digest: Digest) -> Iterator[requests.Response]:
        message = Message(method=method, path=self._prefix + path, query="", body=digest)
        created = self._clock() + self._offset
        headers = signature.sign(message, self._signer, created=created, nonce=secrets.token_hex(16))
        with self._exchange(method, path, headers, body) as response:
            yield response

    @contextmanager
    def _exchange(
        self, method: str, path: str, headers: dict[str, str], body: bytes | IO[bytes]
    ) -> Iterator[requests.Response]:
        try:
            with self._session().request(
                method,
                self._base + path,
                data=body,
                headers={**headers, "Accept-Encoding": "identity"},
                timeout=(self._patience.connect_s, self._patience.read_s),
                allow_redirects=False,
                stream=True,
            ) as response:
                yield response
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise NetworkFailure(
                f"coordinator {self._base}: {_words(error)}", hint="does it run, and is it reachable from here?"
            ) from error

    def _read(self, response: requests.Response, limit: int) -> bytes:
        return b"".join(self._blocks(response, limit, self._patience.document_s))

    def _blocks(self, response: requests.Response, limit: int, grace_s: float) -> Iterator[bytes]:
        started, taken = time.monotonic(), 0
        while block := response.raw.read1(_BLOCK, decode_content=False):
            taken += len(block)
            if taken > limit:
                raise NetworkFailure(f"coordinator: an answer of more than {limit} bytes", hint=_OTHER)
            if time.monotonic() - started > grace_s + taken / self._patience.slowest_bytes_s:
                took_s = time.monotonic() - started
                raise NetworkFailure(
                    f"coordinator: too slow: {taken} bytes in {took_s:.0f} s", hint="look at the network between"
                )
            yield block

    def _session(self) -> requests.Session:
        """One session a thread; a worker's credentials are its key, never a netrc file or a proxy's."""
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = requests.Session()
            session.trust_env = False
            session.verify = self._verify
            self._local.session = session
        return session


def _words(error: Exception) -> str:
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate was not accepted"
    if isinstance(error, requests.exceptions.Timeout | urllib3.exceptions.TimeoutError):
        return "no answer within the time"
    return "the connection failed or broke off"
