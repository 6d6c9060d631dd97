"""Ports that a role listens on: taken before it does anything, and served from a thread as long as it runs.

A role that nobody reaches is worse than none: whoever watches takes it to be there. So a port that cannot be had is an
error before anything else is begun, and a server that ends by itself ends its process, for the init system to start it
again.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
import uvicorn
from starlette.applications import Starlette

from rebuilder.errors import NetworkFailure
from workers.lease.connections import make_server

ENDS_WITHIN_S = 10.0


@contextmanager
def served(app: Starlette, *, host: str, port: int) -> Iterator[None]:
    """Serve a small application, such as a role's health, as long as the context lasts; raises as `running`."""
    with running(make_server(app, host, port), ends_within_s=ENDS_WITHIN_S):
        yield


@contextmanager
def running(server: uvicorn.Server, *, ends_within_s: float) -> Iterator[None]:
    """Run a server from a thread as long as the context lasts, beside whatever the process does.

    Raises NetworkFailure when its port cannot be had, before anything is begun. When the server ends by itself, the
    process gets SIGTERM, as from whoever ends it in good order, and NetworkFailure is raised after that.
    """
    host, port = server.config.host, server.config.port
    listening = _listen(host, port)
    ended = threading.Event()

    def run() -> None:
        try:
            server.run(sockets=[listening])
        except (Exception, SystemExit):  # noqa: BLE001 - whatever it was, the process ends
            structlog.stdlib.get_logger(__name__).exception("a server ended", host=host, port=port)
        finally:
            listening.close()
            if not server.should_exit:
                ended.set()
                os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=run, name=f"port-{port}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(ends_within_s)
    if ended.is_set():
        raise NetworkFailure(
            f"the server at {host}, port {port}, ended by itself", hint="its log says why; start the role again"
        )


def _listen(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise NetworkFailure(
            f"cannot listen at {host}, port {port}: {error.strerror or error}",
            hint="`ss -ltnp` shows who does: end it, or choose another --port, --health-port or --host",
        ) from error
