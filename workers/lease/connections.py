"""The lease API's server: uvicorn, with an end to connections that say nothing and files that nobody takes."""

from __future__ import annotations

import asyncio
import logging

import uvicorn
from starlette.applications import Starlette
from starlette.responses import FileResponse
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

CONNECTIONS = 256
IDLE_S = 15
_log = logging.getLogger(__name__)


class PatientFile(FileResponse):
    """A file that is sent within a time, to a client that takes it."""

    within_s: float = 60

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it; the connection ends when the time is over."""
        try:
            async with asyncio.timeout(self.within_s):
                await super().__call__(scope, receive, send)
        except TimeoutError:
            _log.warning("%s was not taken within %.0f s", scope["path"], self.within_s)


class _Connection(H11Protocol):
    """One that is closed when no request is complete for as long as an idle one is kept: uvicorn itself would wait."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in uvicorn
        super().connection_made(transport)
        self._watch()

    def _watch(self) -> None:
        before = self.cycle

        def look() -> None:
            if self.transport.is_closing():
                return
            is_idle = self.cycle is None or self.cycle.response_complete
            if is_idle and self.cycle is before:
                self.transport.close()
            else:
                self._watch()

        self.loop.call_later(self.timeout_keep_alive, look)


def make_server(app: Starlette, host: str, port: int, *, idle_s: int = IDLE_S) -> uvicorn.Server:
    """Make the server that runs an application; where TLS is wanted, a proxy ends it (docs/FARM.md)."""
    config = uvicorn.Config(
        app,
        host,
        port,
        http=_Connection,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=idle_s,
        timeout_graceful_shutdown=10,
        h11_max_incomplete_event_size=32 * 1024,
    )
    return uvicorn.Server(config)
