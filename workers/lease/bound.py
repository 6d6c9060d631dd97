"""How many events one sender may cause: who floods the coordinator must not fill the ledger."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import datetime

EVENTS_AN_HOUR = 120
NOBODY = ""
"""Sender of what nobody can be held responsible for: all such requests count together."""


class Bound:
    """Counts events by sender and hour."""

    def __init__(self, *, an_hour: int = EVENTS_AN_HOUR) -> None:
        self._an_hour = an_hour
        self._lock = threading.Lock()
        self._hour = ""
        self._counts: Counter[str] = Counter()

    def has_room(self, sender: str, at: datetime) -> bool:
        """Count one more event of a sender; return whether it is to be recorded."""
        hour = f"{at:%Y-%m-%dT%H}"
        with self._lock:
            if hour != self._hour:
                self._hour = hour
                self._counts.clear()
            self._counts[sender] += 1
            return self._counts[sender] <= self._an_hour
