"""Celery's way to a real Redis, when Redis goes away."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
from celery import Celery  # type: ignore[import-untyped] # Celery has no types

from rebuilder.config import FarmSettings
from tests.servers import redis
from workers.app import make_app


def test_an_acknowledgement_that_fails_keeps_no_hand_full(tmp_path: Path) -> None:
    """Who takes one message at a time takes the next one, also when the broker never learned that the first was done.

    The failure is raised all the same, for Celery to log.
    """
    with redis(tmp_path / "redis") as server:
        (tmp_path / "password").write_text(server.password)
        farm = FarmSettings(broker=server.place, broker_password_file=tmp_path / "password")
        taken: list[Any] = []
        app = make_app(farm)
        with app.connection_for_read() as connection, connection.channel() as channel:
            _take_one(app, connection, channel, taken)
            assert not channel.qos.can_consume()
            server.stop(kill=True)
            with pytest.raises(connection.connection_errors):
                taken[0].ack()
            assert channel.qos.can_consume()
            server.start()


def _take_one(app: Celery, connection: Any, channel: Any, taken: list[Any]) -> None:
    queue = app.amqp.queues["plan"](channel)
    queue.declare()
    channel.basic_qos(0, 1, False)  # noqa: FBT003 - AMQP's signature: size, count, whether for all channels
    connection.Producer(channel).publish({}, routing_key="plan")
    with app.amqp.Consumer(channel, [queue], callbacks=[lambda _, message: taken.append(message)]):
        connection.drain_events(timeout=10)


def test_a_worker_tries_to_connect_for_ever() -> None:
    """Celery gives up after a hundred times, three quarters of an hour, as it is."""
    assert make_app(FarmSettings(broker="redis://127.0.0.1:1/0")).conf.broker_connection_max_retries is None


def test_remote_control_that_breaks_off_is_a_lost_connection(tmp_path: Path) -> None:
    """Half of a message, and then nothing: who reads waits as long as the connection says, and has lost it then."""
    with redis(tmp_path / "redis") as server:
        (tmp_path / "password").write_text(server.password)
        farm = FarmSettings(broker=server.place, broker_password_file=tmp_path / "password")
        app = make_app(farm)
        options = {"socket_timeout": 1}
        with app.connection_for_read(transport_options=options) as connection, connection.channel() as channel:
            listener = channel.subclient
            listener.psubscribe("/0.celery.pidbox")
            assert listener.parse_response()[0] == b"psubscribe"
            ours, theirs = socket.socketpair()
            ours.settimeout(1)
            real, listener.connection._sock = listener.connection._sock, ours
            listener.connection._parser._sock = ours
            listener.connection._parser._buffer._sock = ours
            theirs.sendall(b"*4\r\n$8\r\npmess")
            with pytest.raises(connection.connection_errors):
                listener.parse_response()
            for each in (real, theirs):
                each.close()
