"""Celery's consumer of queues, for a broker in which anybody may have written: what is no task of ours is told of.

Celery itself logs such a message and drops it, or lets an exception out of its event loop and keeps the message in
hand, so that a worker which takes one at a time takes none any more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from celery.worker.consumer import Consumer as Celerys  # type: ignore[import-untyped] # Celery has no types
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from workers.transport import refused

_BROKER_ERRORS = (OperationalError, RedisError, OSError)


class Consumer(Celerys):  # type: ignore[misc] # as above
    """See the module. `refused` is sent once for each message."""

    def create_task_handler(self, *given: Any, **named: Any) -> Callable[[Any], None]:  # noqa: ANN401 - Celery's own
        """Handle a message; one that cannot be is out of hand, and the next one is taken."""
        handle = super().create_task_handler(*given, **named)

        def on_task_received(message: Any) -> None:  # noqa: ANN401 - kombu has no types
            try:
                handle(message)
            except _BROKER_ERRORS:
                raise
            except Exception as error:  # noqa: BLE001 - whoever wrote the message chose it
                message.reject()
                _tell(f"no message: {type(error).__name__}: {error}")

        return on_task_received

    def on_unknown_message(self, body: object, message: Any) -> None:  # noqa: ANN401 - as above
        """See Celery: a message without a task."""
        super().on_unknown_message(body, message)
        _tell("a message that names no task")

    def on_unknown_task(self, body: object, message: Any, exc: Exception) -> None:  # noqa: ANN401 - as above
        """See Celery: a task that is none of the farm's."""
        _tell(f"a message for a task that is not there: {exc}")
        super().on_unknown_task(body, message, exc)

    def on_invalid_task(self, body: object, message: Any, exc: Exception) -> None:  # noqa: ANN401 - as above
        """See Celery: a message in a form that is not taken, such as a pickled one."""
        super().on_invalid_task(body, message, exc)
        _tell(f"a message that is not taken: {exc}")

    def on_decode_error(self, message: Any, exc: Exception) -> None:  # noqa: ANN401 - as above
        """See Celery: a message that cannot be decoded."""
        super().on_decode_error(message, exc)
        _tell(f"a message that cannot be decoded: {exc}")


def _tell(reason: str) -> None:
    refused.send(sender=None, reason=reason[:200])
