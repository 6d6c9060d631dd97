"""The coordinator's lease API over HTTP: thin skins around `desk`, for workers that `door` lets in.

Errors are JSON with `error` and `hint`. 401: signed wrongly; 403: not enrolled, revoked, not in that role; 404; 408 and
413: beyond bounds; 409: the lease is lost; 422: other bytes than the digest says; 503: the ledger or the store is away;
507: no room for what this worker sends, or for anything.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeVar

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from rebuilder.attest.keys import PublicKey
from rebuilder.errors import (
    DigestMismatch,
    HostileInput,
    LeaseLost,
    RebuilderError,
    SignatureRefused,
    StorageFailure,
    UntrustedError,
    UsageError,
    WorldError,
)
from rebuilder.model import codec
from rebuilder.model.digest import Digest
from rebuilder.model.job import Worker
from rebuilder.store.workers import Workers
from workers.lease import messages, signature
from workers.lease.allowance import Allowance, QuotaUsedUp
from workers.lease.bodies import Limits, Refused, announced_length, read_document, received_blob
from workers.lease.connections import PatientFile
from workers.lease.desk import Desk
from workers.lease.door import Door
from workers.lease.protocol import Forbidden
from workers.lease.signature import Message

_log = logging.getLogger(__name__)
_Document = TypeVar("_Document")
_NO_BODY = Digest.of(b"")


class LeaseApi:
    """Answers workers; `app` is what a server runs."""

    def __init__(
        self, desk: Desk, members: Workers, coordinator: PublicKey, *, spool: Path, limits: Limits | None = None
    ) -> None:
        self._desk = desk
        self._door = Door(desk, members)
        self._coordinator = coordinator
        self._spool = spool
        self._limits = limits or Limits()
        self._uploads = asyncio.Semaphore(self._limits.uploads)
        self._turns = defaultdict[str, asyncio.Semaphore](lambda: asyncio.Semaphore(self._limits.uploads_each))
        self._allowance = Allowance(self._limits.day_bytes)

    def app(self, health: Sequence[Route]) -> Starlette:
        """Make the application, with the routes of `workers.observing.health_routes`."""
        routes = [
            Route("/v1/enrol", self._enrol, methods=["POST"]),
            Route("/v1/claim", self._acting(messages.ClaimWanted, self._claim), methods=["POST"]),
            Route("/v1/heartbeat", self._acting(messages.Heartbeat, self._heartbeat), methods=["POST"]),
            Route("/v1/report", self._acting(messages.Report, self._report), methods=["POST"]),
            Route("/v1/refused", self._acting(messages.WakeRefused, self._refused), methods=["POST"]),
            Route("/v1/blobs/sha256/{hex}", self._get_blob, methods=["GET", "HEAD"]),
            Route("/v1/blobs/sha256/{hex}", self._put_blob, methods=["PUT"]),
            Route("/v1/time", self._time, methods=["GET"]),
            *health,
        ]
        handlers = {RebuilderError: _refuse, HTTPException: _refuse_http, Exception: _fail}
        app = Starlette(routes=routes, exception_handlers=handlers)
        app.router.redirect_slashes = False  # a path that is none is refused in our own words, and leads nowhere else
        return app

    def _acting(
        self, kind: type[_Document], act: Callable[[Worker, _Document], object | None]
    ) -> Callable[[Request], Awaitable[Response]]:
        """Make the endpoint that reads a signed document, and answers with what `act` makes of it for its worker."""

        async def endpoint(request: Request) -> Response:
            given = signature.parse(_fields(request))
            body = await read_document(request, self._limits)
            worker = await run_in_threadpool(self._door.admit, _message(request, Digest.of(body)), given)
            try:
                answer = await run_in_threadpool(act, worker, codec.parse(body, kind))
            except (HostileInput, UsageError) as error:  # also about a job that is not there
                await run_in_threadpool(self._desk.report_refused, worker, request.url.path, str(error))
                raise
            return Response(status_code=204) if answer is None else _json(answer)

        return endpoint

    async def _enrol(self, request: Request) -> Response:
        given = signature.parse(_fields(request))
        body = await read_document(request, self._limits)
        wanted = codec.parse(body, messages.Enrol)
        worker = await run_in_threadpool(self._door.enrol, wanted, _message(request, Digest.of(body)), given)
        return _json(
            messages.Enrolled(
                keyid=worker.keyid,
                roles=worker.roles,
                tags=worker.tags,
                resources=worker.resources,
                fault_domain=worker.fault_domain,
                coordinator_pem=self._coordinator.pem,
            )
        )

    def _claim(self, worker: Worker, wanted: messages.ClaimWanted) -> object | None:
        return self._desk.claim(worker, wanted.kind, wanted.job)

    def _heartbeat(self, worker: Worker, beat: messages.Heartbeat) -> object:
        return messages.Beat(cancel=self._desk.heartbeat(worker, beat.held))

    def _report(self, worker: Worker, report: messages.Report) -> object:
        if report.output is not None:
            self._desk.done(worker, report.held, report.output)
        elif report.cause is not None:
            self._desk.failed(worker, report.held, report.cause, report.message)
        return messages.Accepted()

    def _refused(self, worker: Worker, wake: messages.WakeRefused) -> object:
        self._desk.refused(worker, wake.task, wake.reason, wake.job)
        return messages.Accepted()

    async def _get_blob(self, request: Request) -> Response:
        digest = _named_blob(request)
        await self._admitted(request, _NO_BODY)
        if not await run_in_threadpool(self._desk.blobs.has, digest):
            raise HTTPException(404, f"no blob {digest}")
        if request.method == "HEAD":
            return Response()
        path = await run_in_threadpool(self._desk.blobs.path, digest)
        size = (await run_in_threadpool(path.stat)).st_size
        answer = PatientFile(path, media_type="application/octet-stream")
        answer.within_s = self._limits.blob_grace_s + size / self._limits.slowest_bytes_s
        return answer

    async def _put_blob(self, request: Request) -> Response:
        digest = _named_blob(request)
        worker, signed = await self._admitted(request, None)
        if signed != digest:
            raise DigestMismatch(
                f"blob: expected {digest} as it is named, found {signed} as it is signed",
                hint="sign for the digest that the path names",
            )
        if await run_in_threadpool(self._desk.blobs.has, digest):
            return _json(messages.Accepted(), closes=True)
        try:
            await self._receive(request, digest, worker)
        except QuotaUsedUp as error:
            await run_in_threadpool(self._desk.upload_refused, worker, str(error))
            raise Refused(507, str(error), hint="it is more tomorrow; farm.upload_quota says how much") from error
        return _json(messages.Accepted(), status=201)

    async def _receive(self, request: Request, digest: Digest, worker: Worker) -> None:
        """Keep a new blob, within what all and what this worker may send at a time and a day."""
        length = announced_length(request, self._limits)
        with self._allowance.charged(worker, length, self._desk.now()):
            async with (
                self._turns[worker.keyid],
                self._uploads,
                received_blob(request, digest, self._spool, self._limits) as path,
            ):
                await run_in_threadpool(self._desk.blobs.put_file, path)

    async def _admitted(self, request: Request, body: Digest | None) -> tuple[Worker, Digest]:
        """Let in a request with that body; None: with whichever it is signed for, which is returned to be verified."""
        given = signature.parse(_fields(request))
        message = _message(request, given.body if body is None else body)
        return await run_in_threadpool(self._door.admit, message, given), given.body

    async def _time(self, request: Request) -> Response:
        del request
        return _json(messages.Time(now=self._desk.now()))


def _fields(request: Request) -> dict[str, str]:
    """Give the fields of a signature; one that is there twice is not there."""
    names = (signature.INPUT, signature.SIGNATURE, signature.CONTENT_DIGEST)
    found = {name: request.headers.getlist(name) for name in names}
    return {name: values[0] for name, values in found.items() if len(values) == 1}


def _message(request: Request, body: Digest) -> Message:
    return Message(
        method=request.method,
        path=request.scope["raw_path"].decode("latin-1"),
        query=request.scope["query_string"].decode("latin-1"),
        body=body,
    )


def _named_blob(request: Request) -> Digest:
    try:
        return Digest(request.path_params["hex"])
    except ValueError as error:
        raise HTTPException(404, "a blob is named by 64 lower-case hexadecimal digits") from error


def _json(value: object, *, status: int = 200, closes: bool = False) -> Response:
    headers = {"Connection": "close"} if closes else None
    return Response(codec.render(value), status, headers=headers, media_type="application/json")


_STATUS: tuple[tuple[type[RebuilderError], int], ...] = (
    (Forbidden, 403),
    (SignatureRefused, 401),
    (DigestMismatch, 422),
    (LeaseLost, 409),
    (UntrustedError, 400),
    (UsageError, 400),
    (StorageFailure, 503),
    (WorldError, 503),
)
"""The first that fits."""


async def _refuse(request: Request, error: Exception) -> Response:
    status = next((number for kind, number in _STATUS if isinstance(error, kind)), 500)
    _log.info("%s %s: %d, %s", request.method, request.url.path[:100], status, error)
    # What is left of a body is not read: the connection ends with the answer.
    hint = error.hint if isinstance(error, RebuilderError) else None
    return _json(messages.Problem(error=str(error), hint=hint), status=status, closes=True)


async def _refuse_http(request: Request, error: Exception) -> Response:
    status, detail = (error.status_code, error.detail) if isinstance(error, HTTPException) else (500, "")
    hint = error.hint if isinstance(error, Refused) else None
    del request
    return _json(messages.Problem(error=detail, hint=hint), status=status, closes=True)


async def _fail(request: Request, error: Exception) -> Response:
    """Answer what nobody foresaw; the server's log has the rest."""
    del request, error
    return _json(messages.Problem(error="the coordinator failed", hint="its log says how"), status=500, closes=True)
