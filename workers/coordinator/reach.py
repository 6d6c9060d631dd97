"""Whether the lease API can be reached: its process may be well, and its port not."""

from __future__ import annotations

import http.client
from ipaddress import ip_address

from rebuilder.errors import NetworkFailure

_PATIENCE_S = 2.0
_HINT = "who has its connections? `ss -tn` shows them; farm.connections_per_address limits each address"


def verify_served(host: str, port: int) -> None:
    """Ask the API that this process serves as a worker would; raise NetworkFailure unless it answers."""
    connection = http.client.HTTPConnection(_here(host), port, timeout=_PATIENCE_S)
    try:
        connection.request("GET", "/v1/time")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        raise NetworkFailure(f"the lease API at port {port} does not answer: {error}", hint=_HINT) from error
    finally:
        connection.close()
    if status != http.client.OK:
        raise NetworkFailure(f"the lease API at port {port} answers with status {status}", hint=_HINT)


def _here(host: str) -> str:
    """Give an address of this machine at which somebody is reached who listens at `host`."""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if not address.is_unspecified:
        return host
    return "127.0.0.1" if address.version == 4 else "::1"
