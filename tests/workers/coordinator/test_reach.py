"""The coordinator asks its own API: its health says so when nobody can reach that."""

from __future__ import annotations

import socket

import pytest
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from rebuilder.errors import NetworkFailure
from tests.servers import free_port
from workers.coordinator.reach import verify_served
from workers.lease.connections import make_server
from workers.listening import running


def app(status: int) -> Starlette:
    """Make an API that answers so."""
    return Starlette(routes=[Route("/v1/time", lambda _: Response(status_code=status))])


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"], ids=["an-address", "all"])  # noqa: S104 - a test
def test_an_api_that_answers_is_well(host: str) -> None:
    """It is asked at an address of this machine, also where it listens on all of them."""
    port = free_port()
    with running(make_server(app(200), host, port), ends_within_s=10):
        verify_served(host, port)


def test_an_api_whose_connections_are_all_taken_is_not_well() -> None:
    """Its process answers elsewhere, and workers would not be served: that is told with what to do."""
    port = free_port()
    with (
        running(make_server(app(200), "127.0.0.1", port, per_address=1), ends_within_s=10),
        socket.create_connection(("127.0.0.1", port)),
        pytest.raises(NetworkFailure, match=f"the lease API at port {port} does not answer") as caught,
    ):
        verify_served("127.0.0.1", port)
    assert "farm.connections_per_address" in str(caught.value.hint)


def test_an_api_that_refuses_is_not_well() -> None:
    """A status that is not success is told."""
    port = free_port()
    with (
        running(make_server(app(503), "127.0.0.1", port), ends_within_s=10),
        pytest.raises(NetworkFailure, match="answers with status 503"),
    ):
        verify_served("127.0.0.1", port)
