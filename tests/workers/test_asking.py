"""Who asks whether a role is ready is answered soon, whatever is silent; and who asks often makes no crowd."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest
import requests
from prometheus_client import CollectorRegistry

from rebuilder.config import FarmSettings
from tests.servers import free_port, redis
from workers.app import make_app, verify_broker
from workers.asking import Asking
from workers.listening import served
from workers.observing import health_app


def test_what_does_not_answer_in_time_is_named() -> None:
    """The others' answers are there; as long as it is silent it is asked once, and when it answered, anew."""
    released, asked = threading.Event(), list[str]()

    def silent() -> str:
        asked.append("broker")
        released.wait(60)
        return "ok"

    asking = Asking({"broker": silent, "ledger": lambda: "ok"}, overdue="unavailable", patience_s=0.2)
    for _ in range(3):
        assert asking.answers() == {"broker": "unavailable", "ledger": "ok"}
    assert asked == ["broker"]
    released.set()
    deadline = time.monotonic() + 60
    while asking.answers()["broker"] != "ok":
        assert time.monotonic() < deadline
    assert asking.answers() == {"broker": "ok", "ledger": "ok"}


def test_a_defect_is_raised() -> None:
    """What is no answer is not taken for one."""

    def wrong() -> str:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Asking({"engine": wrong}, overdue="unavailable").answers()


def test_a_broker_that_is_stopped_is_named_soon(tmp_path: Path) -> None:
    """SIGSTOP: connections are open, nobody answers. 503 before a health check of Compose gives up; then ok again."""
    with redis(tmp_path / "redis") as server:
        (tmp_path / "password").write_text(server.password)
        farm = make_app(FarmSettings(broker=server.place, broker_password_file=tmp_path / "password"))
        process = server.process
        assert process is not None
        app, port = health_app({"broker": lambda: verify_broker(farm)}, CollectorRegistry()), free_port()
        url = f"http://127.0.0.1:{port}/readyz"
        with served(app, host="127.0.0.1", port=port):
            assert requests.get(url, timeout=30).json()["parts"] == {"broker": "ok"}
            os.kill(process.pid, signal.SIGSTOP)
            try:
                began = time.monotonic()
                answer = requests.get(url, timeout=30)
                took_s = time.monotonic() - began
            finally:
                os.kill(process.pid, signal.SIGCONT)
            assert (answer.status_code, answer.json()["parts"]) == (503, {"broker": "unavailable"})
            assert took_s < 5
            deadline = time.monotonic() + 60
            while requests.get(url, timeout=30).status_code != 200:
                assert time.monotonic() < deadline
