"""What a role lets be seen: logs that a machine can read, and its health over HTTP."""

from __future__ import annotations

import io
import json
import logging
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest
import requests
import structlog
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import Metric
from prometheus_client.registry import Collector
from starlette.applications import Starlette

from rebuilder.errors import EngineFailure, StorageFailure
from tests.servers import free_port
from workers.listening import served
from workers.observing import bound, configure_logs, health_app


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """Collect what is logged, and put logging back afterwards."""
    root = logging.getLogger()
    before = (list(root.handlers), root.level)
    text = io.StringIO()
    configure_logs("builder", text)
    yield text
    root.handlers, root.level = before[0], before[1]
    structlog.contextvars.clear_contextvars()
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    """Read what was logged."""
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_lines_are_json_with_job_release_and_attempt(stream: io.StringIO) -> None:
    """Inside a job every line says which, by whichever logger, and outside none does."""
    log = structlog.stdlib.get_logger("ours")
    with bound(job=7, release="pkg:deb/debian/demo@1.0", attempt=2):
        log.info("built", seconds=3)
        logging.getLogger("a.library").warning("slow: %s", "disk")
    log.info("idle")
    ours, theirs, after = lines(stream)
    for line in (ours, theirs):
        assert (line["job"], line["release"], line["attempt"]) == (7, "pkg:deb/debian/demo@1.0", 2)
    assert (ours["event"], ours["seconds"], ours["role"], ours["level"]) == ("built", 3, "builder", "info")
    assert (theirs["event"], theirs["logger"], theirs["level"]) == ("slow: disk", "a.library", "warning")
    assert "job" not in after


def test_an_exception_and_a_line_break_stay_on_one_line(stream: io.StringIO) -> None:
    """A traceback, and text that a package chose, cannot begin a line of their own."""
    log = structlog.stdlib.get_logger("ours")
    try:
        int('broken\n{"event": "forged"}')
    except ValueError:
        log.exception("failed")
    (line,) = lines(stream)
    assert line["event"] == "failed"
    assert "ValueError: invalid literal" in str(line["exception"])


def get(app: Starlette, path: str) -> requests.Response:
    """Serve an application for one request."""
    port = free_port()
    with served(app, host="127.0.0.1", port=port):
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with suppress(requests.ConnectionError):
                return requests.get(f"http://127.0.0.1:{port}{path}", timeout=10)
            time.sleep(0.05)
    raise TimeoutError("the application does not answer")


def fine() -> None:
    """Find nothing wrong."""


def broken() -> None:
    """Find the engine gone."""
    raise EngineFailure("no engine at unix:///secret/place")


def test_healthz_says_that_the_process_answers() -> None:
    """It is green even when the role cannot work: who restarts it would help nothing."""
    answer = get(health_app({"engine": broken}, CollectorRegistry()), "/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_readyz_names_the_part_that_is_missing(stream: io.StringIO) -> None:
    """The part is named; the message is for the log alone."""
    answer = get(health_app({"ledger": fine, "engine": broken}, CollectorRegistry()), "/readyz")
    assert answer.status_code == 503
    assert answer.json() == {"status": "unavailable", "parts": {"ledger": "ok", "engine": "unavailable"}}
    assert any(line.get("error") == "no engine at unix:///secret/place" for line in lines(stream))


def test_readyz_is_green_when_every_part_is_there() -> None:
    """All checks that pass make a role ready."""
    answer = get(health_app({"ledger": fine}, CollectorRegistry()), "/readyz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok", "parts": {"ledger": "ok"}})


def test_metrics_are_served_as_prometheus_reads_them() -> None:
    """Text with the content type of the format."""
    registry = CollectorRegistry()
    Counter("demo", "Demonstration.", registry=registry).inc()
    answer = get(health_app({}, registry), "/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    assert "demo_total 1.0" in answer.text


def test_metrics_without_a_ledger_are_unavailable(stream: io.StringIO) -> None:
    """No half of them: an alert on absence is honest, a zero is not."""

    class Broken(Collector):
        def describe(self) -> list[Metric]:
            return []

        def collect(self) -> list[Metric]:
            raise StorageFailure("the ledger does not answer")

    registry = CollectorRegistry()
    registry.register(Broken())
    answer = get(health_app({}, registry), "/metrics")
    assert (answer.status_code, answer.json()) == (503, {"status": "unavailable"})
    assert any(line.get("error") == "the ledger does not answer" for line in lines(stream))
