"""Celery's way to Redis, for a broker that carries nonsense at times: what is no message is dropped, and nobody ends.

As it is, one element of a queue that is no JSON, or no message of kombu's, ends each worker that takes it: it comes as
an exception out of the event loop. Whoever can write to a queue could stop all of its workers with a few bytes.

And an acknowledgement that a broker which is away does not take would count as a message in hand for good: a worker
that takes one message at a time would never ask for another one.
"""

from __future__ import annotations

from queue import Empty
from typing import Any

from celery.utils.dispatch import Signal  # type: ignore[import-untyped] # Celery has no types
from kombu.transport import redis
from redis.exceptions import RedisError

refused = Signal(name="refused", providing_args={"reason"})
"""Sent with a `reason` for each message that no task was begun for; a receiver neither waits nor raises."""


class _QoS(redis.QoS):
    def ack(self, delivery_tag: str) -> None:
        """Acknowledge, and have the hand free whether the broker learned of it or not: its own copy expires."""
        try:
            super().ack(delivery_tag)  # type: ignore[no-untyped-call] # kombu has no types
        except Exception:
            self._quick_ack(delivery_tag)
            raise


class _Channel(redis.Channel):
    QoS = _QoS

    def _brpop_read(self, **options: Any) -> bool:  # noqa: ANN401 - kombu's own
        """Take one element; whatever is wrong with it, the next one is taken after it."""
        try:
            return bool(super()._brpop_read(**options))  # type: ignore[no-untyped-call] # kombu has no types
        except (Empty, RedisError, OSError):
            raise
        except Exception as error:  # noqa: BLE001 - whoever wrote the element chose it
            refused.send(sender=None, reason=f"no message: {type(error).__name__}: {error}"[:200])
            return True


class Transport(redis.Transport):
    """See the module."""

    Channel = _Channel
