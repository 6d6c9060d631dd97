"""How many bytes of new blobs a worker may send: a measure of each that runs empty evenly, within a day.

So a worker sends at most its quota at once, and that much a day in the long run. It is kept in memory: a coordinator
that begins anew has forgotten it, and several coordinators each have one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from rebuilder.model.job import JobKind, Worker
from rebuilder.model.quantity import render_size

_DAY = timedelta(days=1)


class QuotaUsedUp(Exception):
    """More was announced than the worker may still send."""


@dataclass(slots=True)
class _Level:
    used: float
    at: datetime


class Allowance:
    """Measures what workers send; for one thread."""

    def __init__(self, quota_bytes: int) -> None:
        self._quota = quota_bytes
        self._levels: dict[str, _Level] = {}

    @contextmanager
    def charged(self, worker: Worker, size: int, at: datetime) -> Iterator[None]:
        """Charge an upload before its bytes are taken; one that fails is given back.

        A planner is not measured: it runs nothing that strangers wrote, and brings the sources of whole suites.
        """
        if JobKind.PLAN in worker.roles:
            yield
            return
        level = self._level(worker.keyid, at)
        if level.used + size > self._quota:
            raise QuotaUsedUp(
                f"worker {worker.name}: expected at most {render_size(self._quota)} of new blobs a day, found "
                f"{render_size(round(level.used))} and {render_size(size)} more"
            )
        level.used += size
        try:
            yield
        except BaseException:
            level.used = max(level.used - size, 0)
            raise

    def _level(self, keyid: str, at: datetime) -> _Level:
        """What is left of earlier uploads; of who sent nothing for a day nothing is remembered."""
        self._levels = {each: level for each, level in self._levels.items() if at - level.at < _DAY or each == keyid}
        level = self._levels.setdefault(keyid, _Level(used=0, at=at))
        passed = max((at - level.at) / _DAY, 0)
        level.used, level.at = max(level.used - passed * self._quota, 0), max(level.at, at)
        return level
