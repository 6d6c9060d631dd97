"""A role that cannot be reached ends and says why, instead of being there for nobody."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import pytest
import uvicorn
from prometheus_client import CollectorRegistry

from rebuilder.errors import NetworkFailure
from tests.servers import free_port
from tests.workers.processes import PATIENCE_S, process
from workers.listening import running, served
from workers.observing import health_app


@pytest.fixture
def taken() -> Iterator[int]:
    """Give a port on which somebody else listens."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield other.getsockname()[1]


def test_a_coordinator_whose_api_cannot_be_served_ends(farm: Path, ledger: dict[str, str], taken: int) -> None:
    """Its port is somebody's: exit code 4 and what to do, where it swept on without an API, ready by its own word."""
    with process(farm / "coordinator", "coordinator", "--port", str(taken), **ledger) as coordinator:
        assert coordinator.program.wait(PATIENCE_S) == 4
        text = coordinator.log.read_text()
    assert f"cannot listen at 127.0.0.1, port {taken}: Address already in use" in text
    assert "`ss -ltnp` shows who does" in text
    assert "Traceback" not in text


@pytest.mark.parametrize("broker", [{}, {"farm_broker": "redis://127.0.0.1:1/0"}], ids=["asks", "is-woken"])
def test_a_worker_whose_health_cannot_be_served_ends(farm: Path, taken: int, broker: dict[str, str]) -> None:
    """Nobody could ask whether it is ready: exit code 4, whether it asks for its work or is woken."""
    words = ("--health-port", str(taken), "worker", "publish")
    there = {"farm_coordinator": f"http://127.0.0.1:{free_port()}", **broker}
    with process(farm / "publisher", *words, **there) as worker:
        assert worker.program.wait(PATIENCE_S) == 4
        assert f"cannot listen at 127.0.0.1, port {taken}" in worker.log.read_text()


def test_a_port_that_cannot_be_is_a_usage_error(farm: Path) -> None:
    """Exit code 2, before anything is opened."""
    with process(farm / "coordinator", "coordinator", "--port", "70000") as coordinator:
        assert coordinator.program.wait(PATIENCE_S) == 2
        assert "70000 is not in the range" in coordinator.log.read_text()


def test_a_taken_port_is_refused_before_anything_is_begun(taken: int) -> None:
    """The context is never entered."""
    app = health_app({}, CollectorRegistry())
    with (
        pytest.raises(NetworkFailure, match=f"port {taken}: Address already in use"),
        served(app, host="127.0.0.1", port=taken),
    ):
        pytest.fail("entered")


def test_a_server_that_ends_by_itself_ends_its_process() -> None:
    """The process is told to end as by its init system, and the error says which server it was."""
    told = []

    def note(number: int, frame: FrameType | None) -> None:
        del frame
        told.append(number)

    class Broken(uvicorn.Server):
        async def main_loop(self) -> None:
            raise RuntimeError("its loop broke")

    def serve_until_told(server: uvicorn.Server) -> None:
        with running(server, ends_within_s=10):
            deadline = time.monotonic() + 10
            while not told and time.monotonic() < deadline:
                time.sleep(0.05)

    port = free_port()
    server = Broken(uvicorn.Config(health_app({}, CollectorRegistry()), host="127.0.0.1", port=port, log_config=None))
    before = signal.signal(signal.SIGTERM, note)
    try:
        with pytest.raises(NetworkFailure, match=f"port {port}, ended by itself"):
            serve_until_told(server)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert told == [signal.SIGTERM]
