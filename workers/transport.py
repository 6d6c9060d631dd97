"""Celery's way to Redis, for a broker that carries nonsense at times: what is no message is dropped, and nobody ends.

As it is, one element of a queue that is no JSON, or no message of kombu's, ends each worker that takes it: it comes as
an exception out of the event loop. Whoever can write to a queue could stop all of its workers with a few bytes.

And an acknowledgement that a broker which is away does not take would count as a message in hand for good: a worker
that takes one message at a time would never ask for another one.
"""

from __future__ import annotations

from functools import cached_property
from queue import Empty
from typing import Any

from celery.utils.dispatch import Signal  # type: ignore[import-untyped] # Celery has no types
from kombu.transport import redis
from redis.client import PubSub
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


class _Subscription(PubSub):
    def parse_response(self, block: bool = True, timeout: float = 0) -> Any:  # noqa: ANN401, FBT001, FBT002 - redis's
        """Read one element, and wait no longer than the connection's own limit for the rest of what has begun.

        Celery reads when there is something, and redis waits for the end of it for ever. As it does, what is the
        answer to a health check is none.
        """
        if not block or self.connection is None:
            return super().parse_response(block=block, timeout=timeout)  # type: ignore[no-untyped-call] # redis has no types
        self.check_health()
        response = self.connection.read_response(disconnect_on_error=True, push_request=True)
        if self.is_health_check_response(response):
            self.health_check_response_counter -= 1
            return None
        return response


class _Channel(redis.Channel):
    QoS = _QoS

    @cached_property
    def subclient(self) -> _Subscription:
        """Where remote control is heard; see kombu."""
        client = self._create_client(asynchronous=True)  # type: ignore[no-untyped-call] # kombu has no types
        return _Subscription(client.connection_pool)

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
