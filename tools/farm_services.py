"""Start a farm's services, and wait for those that are not well yet; say which they are when time is up, and why.

`compose up --wait` gives up at the first service that is found dead or unhealthy, also when it is in the pause before
its next start, or still reading a large ledger. So it is asked again as long as something may come right by itself.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

PAUSE_S = 5.0
_LAST_WORDS = 5
_WIDTH = 300
_CONTROLS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")
"""What moves a terminal's cursor: Compose writes it before each line, also where there is no terminal."""
_MENDING = frozenset({"restarting", "starting", "unhealthy", "exited", "dead", "removing", "paused"})
"""What the engine, or the next start, may change."""

Start = Callable[[int], int]
"""Starts everything and waits so many seconds at most; 0 when all is well."""
Ask = Callable[..., str]
"""What Compose answers to these words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """How one service stands."""

    name: str
    standing: str
    """Its health where it runs and has one, else its state."""
    status: int

    @property
    def is_well(self) -> bool:
        """Whether nothing is to be waited for."""
        return self.standing in {"healthy", "running"}

    def __str__(self) -> str:
        """Say how it stands, with the exit code of one that does not run."""
        code = f", exit code {self.status}" if self.status else ""
        return f"{self.name} ({self.standing}{code})"


def start(
    begin: Start, ask: Ask, *, limit_s: float, pause_s: float = PAUSE_S, clock: Callable[[], float] = time.monotonic
) -> int:
    """Start until all is well or time is up; return the last status.

    1. Where nothing that failed may come right by itself (a port that is taken, say), it is told at once.
    2. Else it is tried again, which starts what depends on it as well.
    3. In the end each service that is not well is named, with its last words.
    """
    deadline = clock() + limit_s
    said = ""
    while (status := begin(max(1, int(deadline - clock())))) != 0:
        ailing = [service for service in standing(ask("ps", "--all", "--format", "json")) if not service.is_well]
        # 1. and 3.
        if clock() >= deadline or not any(service.standing in _MENDING for service in ailing):
            print(report(ailing, ask), file=sys.stderr)
            return status
        # 2.
        waiting = ", ".join(str(service) for service in ailing if service.standing != "created")
        if waiting != said:
            print(f"farm: waiting for {waiting}", flush=True)
            said = waiting
        time.sleep(pause_s)
    return 0


def standing(answer: str) -> list[Service]:
    """Read what `compose ps --format json` prints: an object a line, or one list of them."""
    lines = [json.loads(line) for line in answer.splitlines() if line.strip()]
    found = lines[0] if len(lines) == 1 and isinstance(lines[0], list) else lines
    return [
        Service(
            name=str(entry["Service"]),
            standing=str((entry.get("Health") if entry["State"] == "running" else None) or entry["State"]),
            status=int(entry.get("ExitCode") or 0),
        )
        for entry in found
    ]


def report(ailing: list[Service], ask: Ask) -> str:
    """Name each service that is not well, the ones that never began last, with its last words and what to do."""
    lines = ["farm: not all of it came up"]
    for service in ailing:
        if service.standing == "created":
            continue
        lines.append(f"  {service}; `make logs ARGS={service.name}` has all that it says, and this at the end:")
        words = ask("logs", "--no-log-prefix", "--no-color", "--tail", str(_LAST_WORDS), service.name).splitlines()
        lines += [f"    {_CONTROLS.sub('', word)[:_WIDTH]}" for word in words or ["(nothing)"]]
    if waiting := [service.name for service in ailing if service.standing == "created"]:
        lines.append(f"  not begun, for what they wait for is not well: {', '.join(waiting)}")
    lines.append("  what is there stays; `make up` goes on from here, `make down` stops it")
    return "\n".join(lines)
