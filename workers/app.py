"""The Celery application: what carries wake-ups, and nothing else. Losing all of its messages loses no work.

Settings follow from measurements (docs/FARM.md): late acknowledgement, one message at a time, JSON alone, no results, a
visibility timeout above any job's length. Celery's own signing is not used: a wake-up is signed by the application.

The client is to try nothing again by itself (`retry_on_timeout`, `retry_on_error`): a connection that was lost is for
Celery to know of. Where Redis answers again at once, the one for remote control would else be made anew without a
subscription, and read without a time limit: its worker waits for words that never come, and hears of no work any more.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit, urlunsplit

from celery import Celery  # type: ignore[import-untyped] # Celery has no types
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from rebuilder.attest.signing import Signer
from rebuilder.config import FarmSettings
from rebuilder.errors import ConfigurationError, NetworkFailure, WorldError
from rebuilder.model.job import Job, JobKind, ResourceClass
from workers.starting import now, secret
from workers.transport import Transport
from workers.wake import Delivery, make_token

if TYPE_CHECKING:
    from workers.lease.desk import Desk

VISIBILITY_S = 24 * 3600
_CONNECT_S = 5
_LOOK = "look at the broker, farm.broker and farm.broker_password_file"


def make_app(farm: FarmSettings) -> Celery:
    """Make the application; raise ConfigurationError when no broker is named."""
    address = _broker(farm)
    app = Celery("workers", broker=address, set_as_current=False)
    app.conf.update(
        broker_transport=f"{Transport.__module__}:{Transport.__name__}",
        broker_use_ssl=_tls(farm) if address.startswith("rediss:") else None,
        worker_consumer="workers.consumer:Consumer",
        accept_content=["json"],
        task_serializer="json",
        task_ignore_result=True,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_create_missing_queues=True,
        worker_prefetch_multiplier=1,
        worker_concurrency=1,
        worker_hijack_root_logger=False,
        worker_send_task_events=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,  # a worker stays, however long its broker is away
        broker_channel_error_retry=True,  # a broker that refuses, for it is full, is waited for like one that is away
        broker_connection_timeout=_CONNECT_S,
        broker_transport_options={
            "visibility_timeout": VISIBILITY_S,
            "socket_timeout": 30,
            "socket_connect_timeout": _CONNECT_S,
        },
    )
    return app


def task_of(kind: JobKind) -> str:
    """Name the task that wakes workers of a role."""
    return f"workers.{kind}"


def queue_of(job: Job) -> str:
    """Name the queue that a job's wake-up is put in: its role, and for a rebuild its class and tags."""
    if job.new.kind is not JobKind.REBUILD:
        return str(job.new.kind)
    return rebuild_queue(job.new.resources, job.new.tags)


def rebuild_queue(resources: ResourceClass, tags: tuple[str, ...]) -> str:
    """Name the queue of rebuilds that want these."""
    return ".".join((JobKind.REBUILD, resources, *sorted(tags)))


class Waker:
    """Sends wake-ups; what cannot be sent now the reconciler sends again."""

    def __init__(self, app: Celery, signer: Signer) -> None:
        self._app = app
        self._signer = signer

    def __call__(self, job: Job) -> None:
        """Wake whoever may claim a job; raise NetworkFailure when the broker does not take it."""
        delivery = Delivery(task=task_of(job.new.kind), queue=queue_of(job))
        token = make_token(job, delivery, self._signer, now())
        try:
            self._app.send_task(delivery.task, args=(token,), queue=delivery.queue, retry=False)
        except (OperationalError, RedisError, OSError) as error:
            raise NetworkFailure(f"the broker does not take wake-ups: {error}", hint=_LOOK) from error


def verify_broker(app: Celery) -> None:
    """Raise NetworkFailure unless the broker answers, and accepts this user and password."""
    try:
        options = {"socket_timeout": _CONNECT_S}
        with app.connection_for_read(transport_options=options) as connection:
            connection.ensure_connection(max_retries=1, timeout=_CONNECT_S)
    except (OperationalError, RedisError, OSError) as error:
        raise NetworkFailure(f"the broker: {error}", hint=_LOOK) from error


def wake_followers(desk: Desk, farm: FarmSettings, wake: Callable[[Job], None]) -> None:
    """Wake workers for what is owed by now; what that comes to grief on, the reconciler does again."""
    with suppress(WorldError):
        for job in desk.jobs.to_wake(desk.now(), again_after=timedelta(seconds=farm.wake_again_s)):
            wake(job)


def _tls(farm: FarmSettings) -> dict[str, object]:
    """Have the broker prove that it is the host that `farm.broker` names."""
    vouching = {"ssl_ca_certs": str(farm.authority_file)} if farm.authority_file else {}
    return {"ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_check_hostname": True, **vouching}


def _broker(farm: FarmSettings) -> str:
    if farm.broker is None:
        raise ConfigurationError("no broker: farm.broker is not set", hint="name the address of Redis")
    password = secret(farm.broker_password_file)
    if password is None:
        return farm.broker
    parts = urlsplit(farm.broker)
    place = parts.netloc.rpartition("@")[2]
    user = quote(parts.username or "", safe="")
    return urlunsplit(parts._replace(netloc=f"{user}:{quote(password, safe='')}@{place}"))
