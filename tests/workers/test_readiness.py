"""What a worker's /readyz says of its coordinator and of its key: who must be looked at is to be told from it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from rebuilder.config import load_settings
from rebuilder.model import codec
from rebuilder.model.job import JobKind
from rebuilder.progress import Silent
from tests.servers import free_port
from workers.lease import messages
from workers.lease.connections import make_server
from workers.listening import running, served
from workers.observing import health_app
from workers.starting import open_worker


def coordinator(status: int) -> Starlette:
    """Make one that tells the time, and answers so when it must look a key up in its ledger."""
    said = JSONResponse({"error": "the ledger does not answer", "hint": None}, status_code=status)
    told, blob = codec.render(messages.Time(now=datetime.now(UTC))), "/v1/blobs/sha256/{hex}"
    return Starlette(routes=[Route("/v1/time", lambda _: Response(told)), Route(blob, lambda _: said)])


@pytest.mark.parametrize(
    ("status", "parts"),
    [
        (404, {"coordinator": "ok", "key": "ok"}),
        (503, {"coordinator": "unavailable", "key": "unavailable"}),
        (403, {"coordinator": "ok", "key": "refused"}),
        (401, {"coordinator": "ok", "key": "refused"}),
    ],
    ids=["well", "no-ledger", "not-enrolled", "signed-wrongly"],
)
def test_a_refused_key_is_told_from_a_coordinator_without_its_ledger(
    status: int, parts: dict[str, str], tmp_path: Path
) -> None:
    """A database that is stopped is the coordinator's affair: no worker is to be enrolled for it."""
    port, health = free_port(), free_port()
    words = {"STATE": tmp_path / "state", "CACHE": tmp_path / "cache", "FARM_COORDINATOR": f"http://127.0.0.1:{port}"}
    settings = load_settings(environment={f"REBUILDER_{key}": str(value) for key, value in words.items()})
    opened = open_worker(JobKind.PUBLISH, settings, Silent())
    seen = health_app(opened.checks, CollectorRegistry())
    with (
        running(make_server(coordinator(status), "127.0.0.1", port), ends_within_s=10),
        served(seen, host="127.0.0.1", port=health),
    ):
        assert requests.get(f"http://127.0.0.1:{health}/readyz", timeout=30).json()["parts"] == parts
