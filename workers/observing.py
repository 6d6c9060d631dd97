"""What a role lets be seen of itself: structured logs, and over HTTP /healthz, /readyz and /metrics.

Logs are one JSON object a line on standard error, with the job, its release and its attempt bound as long as the job
runs. `healthz` says that the process answers; `readyz` that it can do its work: the ledger, the broker, the engine or
the key are there. Neither tells a stranger more than a word and the name of the part:
`refused` is a key that is not accepted, `unavailable` what does not answer, for whatever reason.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from functools import partial
from typing import Any, TextIO

import structlog
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from rebuilder.errors import RebuilderError, SignatureRefused
from workers.asking import Asking

_QUIET = ("kombu", "amqp", "urllib3", "docker", "botocore")

_AWAY = "unavailable"

Check = Callable[[], None]
"""Looks whether a part is there; raises one of our errors when it is not."""


def configure_logs(role: str, stream: TextIO, *, level: int = logging.INFO) -> None:
    """Write everything that is logged, by us and by libraries, as JSON lines to `stream`, with the role on each."""

    def named(_: object, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        return {"role": role, **line}

    shared: list[structlog.typing.Processor] = [
        named,
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(sort_keys=True),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    structlog.contextvars.clear_contextvars()


@contextmanager
def bound(*, job: int, release: str, attempt: int) -> Iterator[None]:
    """Put a job, its release and its attempt on every line that is logged inside."""
    with structlog.contextvars.bound_contextvars(job=job, release=release, attempt=attempt):
        yield


def health_routes(checks: Mapping[str, Check], registry: CollectorRegistry) -> list[Route]:
    """Routes of /healthz, /readyz and /metrics; each check is named after the part that it looks at."""
    log = structlog.stdlib.get_logger(__name__)

    def word(name: str, check: Check) -> str:
        try:
            check()
        except RebuilderError as error:
            log.warning("not ready", part=name, error=str(error))
            return "refused" if isinstance(error, SignatureRefused) else _AWAY
        return "ok"

    asking = Asking({name: partial(word, name, check) for name, check in checks.items()}, overdue=_AWAY)

    async def healthz(_: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def readyz(_: Request) -> Response:
        parts = await run_in_threadpool(asking.answers)
        ready = all(word == "ok" for word in parts.values())
        answer = {"status": "ok" if ready else "unavailable", "parts": parts}
        return JSONResponse(answer, status_code=200 if ready else 503)

    async def metrics(_: Request) -> Response:
        try:
            text = await run_in_threadpool(generate_latest, registry)
        except RebuilderError as error:
            log.warning("no metrics", error=str(error))
            return JSONResponse({"status": "unavailable"}, status_code=503)
        return Response(text, media_type=CONTENT_TYPE_LATEST)

    return [Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics)]


def health_app(checks: Mapping[str, Check], registry: CollectorRegistry) -> Starlette:
    """A role's own little application, for roles that serve nothing else."""
    return Starlette(routes=health_routes(checks, registry))
