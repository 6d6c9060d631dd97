"""A worker that the broker wakes: Celery's, and whether it listens.

It says nothing by itself over publish and subscribe, where remote control is: Redis's users for workers may not, so
that nobody who has the password of one commands the others.
"""

from __future__ import annotations

from collections.abc import Iterable

from celery import Celery  # type: ignore[import-untyped] # Celery has no types
from celery.apps.worker import Worker  # type: ignore[import-untyped] # as above

from rebuilder.errors import NetworkFailure


def make_worker(app: Celery, queues: Iterable[str]) -> Worker:
    """Make a worker for these queues, which does one job at a time, in a child."""
    return app.Worker(
        queues=tuple(queues),
        concurrency=1,
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        loglevel="INFO",
    )


def verify_listening(worker: Worker, queues: Iterable[str]) -> None:
    """Raise NetworkFailure unless the worker takes what comes in each of its queues."""
    consumer = worker.consumer.task_consumer
    deaf = sorted(queue for queue in queues if consumer is None or not consumer.consuming_from(queue))
    if deaf:
        raise NetworkFailure(
            f"this worker does not listen to {', '.join(deaf)}",
            hint="it does when the broker answers; where somebody cancelled it by remote control, start it again",
        )
