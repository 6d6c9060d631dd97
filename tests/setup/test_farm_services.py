"""`make up` waits for what may come right by itself, and says what does not."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import pytest

from tools import farm_services

PLANNER = {"Service": "planner", "State": "created", "Health": "", "ExitCode": 0}
HEALTHY = {"Service": "redis", "State": "running", "Health": "healthy", "ExitCode": 0}
IN_BACKOFF = {"Service": "coordinator", "State": "restarting", "Health": "", "ExitCode": 4}


@dataclass
class FakeCompose:
    """Starts in vain for a while; time passes with each start."""

    services: list[dict[str, object]]
    failures: int
    now: float = 0.0
    limits: list[int] = field(default_factory=list)

    def begin(self, timeout_s: int) -> int:
        """Start everything."""
        self.limits.append(timeout_s)
        self.now += 10
        self.failures -= 1
        return 1 if self.failures >= 0 else 0

    def ask(self, *words: str) -> str:
        """Answer as Compose does: an object a line, or the lines of a log."""
        if words[0] == "logs":
            return f"\x1b[2Kthe ledger refuses {words[-1]}\n" + "x" * 1000
        return "\n".join(json.dumps(service) for service in self.services)

    def start(self) -> int:
        """Start, with five minutes at most."""
        return farm_services.start(self.begin, self.ask, limit_s=300, pause_s=0, clock=lambda: self.now)


def test_a_coordinator_in_the_pause_before_its_next_start_is_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    """Compose gives up at once and is asked again, with what is left of the time; what is waited for is said once."""
    compose = FakeCompose(services=[HEALTHY, IN_BACKOFF, PLANNER], failures=3)
    assert compose.start() == 0
    assert compose.limits == [300, 290, 280, 270]
    assert capsys.readouterr().out == "farm: waiting for coordinator (restarting, exit code 4)\n"


def test_what_never_comes_up_is_named_with_its_last_words(capsys: pytest.CaptureFixture[str]) -> None:
    """After the limit: how it stands, the end of its log, where the rest is, and who waits for it."""
    compose = FakeCompose(services=[HEALTHY, IN_BACKOFF, PLANNER], failures=1000)
    assert compose.start() == 1
    assert compose.now == 300
    said = capsys.readouterr().err
    assert "coordinator (restarting, exit code 4); `make logs ARGS=coordinator`" in said
    assert "    the ledger refuses coordinator\n" in said
    assert "not begun, for what they wait for is not well: planner" in said
    assert "redis" not in said
    assert max(map(len, said.splitlines())) <= 304


def test_what_waiting_does_not_mend_is_said_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    """A port that is taken, an image that is not there: nothing is on its way, so there is nothing to wait for."""
    compose = FakeCompose(services=[HEALTHY, PLANNER], failures=1000)
    assert compose.start() == 1
    assert len(compose.limits) == 1
    assert "not all of it came up" in capsys.readouterr().err


def test_services_are_read_in_either_form() -> None:
    """Some versions of Compose print one list; a running service stands by its health, one that ended by its state."""
    unhealthy = {"Service": "signer", "State": "running", "Health": "unhealthy"}
    bare = {"Service": "bare", "State": "running"}
    dead = {"Service": "web", "State": "exited", "Health": "unhealthy", "ExitCode": 137}
    found = farm_services.standing(json.dumps([unhealthy, bare, dead]))
    assert [(str(each), each.is_well) for each in found] == [
        ("signer (unhealthy)", False),
        ("bare (running)", True),
        ("web (exited, exit code 137)", False),
    ]
    assert farm_services.standing("") == []
