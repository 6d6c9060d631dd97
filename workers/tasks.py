"""The Celery tasks, one a role: each is told that there is a job, and asks the coordinator for it.

`celery -A workers.tasks:app worker -Q rebuild.small.amd64` starts a builder. A message is refused and told of unless
the coordinator signed it for this task and this queue, once; one for a role that the worker is not, before anything
of that role is opened. Celery's own tasks are not there.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import structlog
from celery import Celery  # type: ignore[import-untyped] # Celery has no types

from rebuilder.attest.keystore import load_public_key
from rebuilder.config import Settings, load_settings
from rebuilder.errors import RebuilderError, UntrustedError
from rebuilder.model.job import JobKind
from rebuilder.progress import Silent
from workers.app import make_app, task_of
from workers.refusing import Teller
from workers.serving import Post, serve
from workers.starting import now, open_worker
from workers.transport import refused
from workers.wake import Delivery, Nonces, verify_token

_log = structlog.stdlib.get_logger("wake")
OpenPost = Callable[[JobKind, Settings], Post]


def open_post(kind: JobKind, settings: Settings) -> Post:
    """Open a role of this machine's settings."""
    return open_worker(kind, settings, Silent()).post


def make_tasks(settings: Settings, opening: OpenPost = open_post) -> Celery:
    """Make the application with its tasks; a role is opened in the process that works, when it is first woken."""
    app = make_app(settings.farm)
    post = cache(lambda kind: opening(kind, settings))
    for kind in JobKind:
        _add(app, kind, settings, post)
    app.finalize()
    for name in [name for name in app.tasks if name.startswith("celery.")]:
        app.tasks.unregister(name)  # they would run whatever a message names, and nobody signs those
    # What the process that listens refuses itself; it is this one until Celery makes a child to work in.
    refused.connect(Teller(lambda reason: _tell(app, post, reason)).hear, weak=False)
    return app


def _add(app: Celery, kind: JobKind, settings: Settings, post: Callable[[JobKind], Post]) -> None:
    @app.task(name=task_of(kind), bind=True)  # type: ignore[untyped-decorator] # as above
    def wake(self: Any, token: object = None, *_: object, **__: object) -> None:  # noqa: ANN401 - Celery's own task
        """Work, if the wake-up is one; what ends that is logged, and the next one finds this worker here."""
        delivery = Delivery(task=self.name, queue=str((self.request.delivery_info or {}).get("routing_key", "")))
        try:
            if kind not in (own := _kinds(app)):
                # Before anything of that kind is opened: this makes keys.
                reason = f"expected a wake-up for {', '.join(map(task_of, own))}, found one for {delivery.task}"
                _log.warning("refused", task=delivery.task, error=reason)
                _tell(app, post, reason)
                return
            _work(post(kind), token, delivery, settings)
        except RebuilderError as error:
            _log.warning("no work now", task=delivery.task, error=str(error), hint=error.hint)


def _kinds(app: Celery) -> tuple[JobKind, ...]:
    """Name the kinds of job that this worker was told to listen for; whatever a message says of itself."""
    queues = {queue.partition(".")[0] for queue in app.amqp.queues.consume_from}
    return tuple(kind for kind in JobKind if kind in queues)


def _tell(app: Celery, post: Callable[[JobKind], Post], reason: str) -> None:
    """Tell the coordinator of a message that was refused, in the name of the first kind that this worker serves."""
    for own in _kinds(app)[:1]:
        post(own).leases.refused(task_of(own), reason)


def _work(here: Post, token: object, delivery: Delivery, settings: Settings) -> None:
    """Verify a wake-up, then work until nothing is owed."""
    try:
        coordinator = load_public_key(settings.state / "coordinator.pub")
        nonces = Nonces(settings.state / "wakes.sqlite")
        job = verify_token(token, delivery, coordinator, nonces, now()).job
    except UntrustedError as error:
        _log.warning("refused", task=delivery.task, error=str(error))
        here.leases.refused(delivery.task, str(error))
        here.rest()  # it may have been sent to a process that was killed before it could rest
        return
    serve(here, job)


def __getattr__(name: str) -> Celery:
    """Make `app` when Celery asks for it, from the settings of the process."""
    if name != "app":
        raise AttributeError(name)
    return make_tasks(load_settings())
