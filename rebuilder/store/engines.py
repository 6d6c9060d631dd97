"""Connections to the two kinds of database: how a transaction begins, and how long one waits for another."""

from __future__ import annotations

import math
import sqlite3
import time
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.pool import ConnectionPoolEntry

BUSY_TIMEOUT_MS = 30_000
_CONNECT_TIMEOUT_S = 10
_POOL_TIMEOUT_S = 60
_USED_AT, _TRUSTED_S = "rebuilder_used_at", 1.0


def file_engine(path: Path, busy_timeout_ms: int) -> Engine:
    """SQLite: every transaction on a connection of its own, and durable once it is committed.

    Connections are kept: whoever closes the last one copies the write-ahead log back, which costs more than a commit.
    """
    engine = sa.create_engine(
        sa.URL.create("sqlite", database=str(path)), poolclass=sa.QueuePool, pool_timeout=_POOL_TIMEOUT_S
    )

    @sa.event.listens_for(engine, "connect")
    def configure(connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = None  # transactions begin where `begin` below says, not where the driver thinks
        for pragma in (f"busy_timeout = {busy_timeout_ms}", "foreign_keys = ON", "synchronous = FULL"):
            connection.execute(f"PRAGMA {pragma}")

    @sa.event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        options = connection.get_execution_options()
        if not options.get("rebuilder_bare"):
            connection.exec_driver_sql("BEGIN" if options.get("rebuilder_reads") else "BEGIN IMMEDIATE")

    return engine


def server_engine(address: str, password: str | None, lock_timeout_ms: int) -> Engine:
    """PostgreSQL through psycopg 3, with a pool: a connection that the server dropped is replaced before its use.

    One that was in use a moment ago is not asked first: that is three questions to the server more in each transaction.
    When it fails nevertheless, SQLAlchemy gives up all connections that are older than the failure.
    """
    url = sa.make_url(address).set(drivername="postgresql+psycopg")
    if password is not None:
        url = url.set(password=password)
    options = f"-c lock_timeout={lock_timeout_ms} -c default_transaction_isolation=read\\ committed"
    engine = sa.create_engine(
        url,
        pool_timeout=_POOL_TIMEOUT_S,
        connect_args={
            "connect_timeout": _CONNECT_TIMEOUT_S,
            "options": options,
            "application_name": "rebuilder",
        },
    )

    @sa.event.listens_for(engine, "checkin")
    def note(_: object, record: ConnectionPoolEntry) -> None:
        record.info[_USED_AT] = time.monotonic()

    @sa.event.listens_for(engine, "checkout")
    def probe(connection: DBAPIConnection, record: ConnectionPoolEntry, _: object) -> None:
        if time.monotonic() - record.info.get(_USED_AT, math.inf) < _TRUSTED_S:
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error as error:
            raise InvalidatePoolError from error

    return engine
