"""The lease API's server: uvicorn, with an end to connections that say nothing and files that nobody takes.

No address has more than its share of the connections: who opens many and says nothing shuts nobody else out.
"""

from __future__ import annotations

import asyncio
import logging
import math
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import ClassVar

import uvicorn
from starlette.applications import Starlette
from starlette.responses import FileResponse
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

CONNECTIONS = 256
"""In all."""
PER_ADDRESS = 64
IDLE_S = 15
_TELL_EVERY_S = 60
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


@dataclass(slots=True, kw_only=True)
class _Crowd:
    """How many connections one address may have, and when it was told last that one had them all."""

    per_address: int
    told_at_s: float = -math.inf


class _Connection(H11Protocol):
    """One that is closed when no request is complete for as long as an idle one is kept: uvicorn itself would wait.

    One too many of its address is closed at once.
    """

    crowd: ClassVar[_Crowd]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in uvicorn
        super().connection_made(transport)
        whose = _whose(self.client)
        alike = sum(isinstance(each, _Connection) and _whose(each.client) == whose for each in self.connections)
        if alike <= self.crowd.per_address:
            self._watch()
            return
        self.connections.discard(self)
        transport.abort()
        if self.loop.time() - self.crowd.told_at_s > _TELL_EVERY_S:
            self.crowd.told_at_s = self.loop.time()
            _log.warning("%s has %d connections, and is given no more", whose, self.crowd.per_address)

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


def _whose(client: tuple[str, int] | None) -> str:
    """Name whom a connection counts for: an address; of IPv6 its network of 64 bits, which is one machine's to use."""
    address = ip_address(client[0]) if client else None
    if not isinstance(address, IPv6Address):
        return str(address)
    return str(address.ipv4_mapped or f"{IPv6Address(int(address) >> 64 << 64)}/64")


def make_server(
    app: Starlette, host: str, port: int, *, idle_s: int = IDLE_S, per_address: int = PER_ADDRESS
) -> uvicorn.Server:
    """Make the server that runs an application; where TLS is wanted, a proxy ends it (docs/FARM.md)."""

    class Connection(_Connection):
        crowd = _Crowd(per_address=per_address)

    config = uvicorn.Config(
        app,
        host,
        port,
        http=Connection,
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
