"""Whose a container is: enough to tell later, from labels alone, whether the run that made it still lives."""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from rebuilder.build.container import LABEL
from rebuilder.world import scratch


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """A process of this or another machine; a process id alone is used again, so the start time is part of it."""

    run: str
    """Name of the run: chosen by whoever starts it, unique on this machine."""
    host: str
    boot: str
    """Kernel's boot id: processes of an earlier boot are gone."""
    space: str
    """Process id namespace: ids of another one say nothing here."""
    pid: int
    started: int
    """Clock ticks after boot at which the process started."""
    made: int
    """Seconds since 1970 at which the owner was recorded."""

    @classmethod
    def here(cls, run: str | None = None) -> Self:
        """Describe this process; `run` defaults to a name made of process id and time."""
        pid = scratch.own_pid()
        started = scratch.start_ticks(pid) or 0
        return cls(
            run=run or f"{pid}-{started}",
            host=platform.node(),
            boot=scratch.boot_id(),
            space=scratch.pid_space(),
            pid=pid,
            started=started,
            made=int(time.time()),
        )

    def labels(self) -> dict[str, str]:
        """Render as labels."""
        return {
            LABEL: "1",
            f"{LABEL}.run": self.run,
            f"{LABEL}.host": self.host,
            f"{LABEL}.boot": self.boot,
            f"{LABEL}.space": self.space,
            f"{LABEL}.pid": str(self.pid),
            f"{LABEL}.started": str(self.started),
            f"{LABEL}.made": str(self.made),
        }

    @classmethod
    def of(cls, labels: Mapping[str, str]) -> Self | None:
        """Read what `labels` wrote; None when any of it is missing or malformed."""
        try:
            return cls(
                run=labels[f"{LABEL}.run"],
                host=labels[f"{LABEL}.host"],
                boot=labels[f"{LABEL}.boot"],
                space=labels[f"{LABEL}.space"],
                pid=int(labels[f"{LABEL}.pid"]),
                started=int(labels[f"{LABEL}.started"]),
                made=int(labels[f"{LABEL}.made"]),
            )
        except (KeyError, ValueError):
            return None

    def is_alive(self) -> bool | None:
        """Whether that process still runs; None when this machine cannot know."""
        if self.host != platform.node():
            return None
        if self.boot != scratch.boot_id():
            return False
        if self.space != scratch.pid_space():
            return None
        return scratch.start_ticks(self.pid) == self.started
