"""Telling the coordinator of what the broker carried and no task began of: nonsense, and other people's tasks."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Full, Queue

import structlog

from rebuilder.errors import RebuilderError

_WAITING = 20
"""So many refusals wait to be told; what comes while they do is in the log alone."""


class Teller:
    """Tells from a thread of its own, for Celery's event loop waits for nobody."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._waiting: Queue[str] = Queue(_WAITING)
        self._thread: threading.Thread | None = None
        self._log = structlog.stdlib.get_logger("wake")

    def hear(self, reason: str, **_: object) -> None:
        """Log a refusal, and have it told; raises nothing (a receiver of `workers.transport.refused`)."""
        try:
            self._waiting.put_nowait(reason)
        except Full:
            self._log.warning("refused, and not told: too many wait to be", error=reason)
            return
        self._log.warning("refused", error=reason)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="refusals", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while True:
            reason = self._waiting.get()
            try:
                self._tell(reason)
            except RebuilderError as error:
                self._log.warning("a refusal was not told", error=str(error))
