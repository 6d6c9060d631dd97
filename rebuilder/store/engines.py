"""Connections to the two kinds of database: how a transaction begins, and how long one waits for another."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

BUSY_TIMEOUT_MS = 30_000
_CONNECT_TIMEOUT_S = 10
_POOL_TIMEOUT_S = 60


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
    """PostgreSQL through psycopg 3, with a pool: a connection that the server dropped is replaced before its use."""
    url = sa.make_url(address).set(drivername="postgresql+psycopg")
    if password is not None:
        url = url.set(password=password)
    options = f"-c lock_timeout={lock_timeout_ms} -c default_transaction_isolation=read\\ committed"
    return sa.create_engine(
        url,
        pool_pre_ping=True,
        pool_timeout=_POOL_TIMEOUT_S,
        connect_args={
            "connect_timeout": _CONNECT_TIMEOUT_S,
            "options": options,
            "application_name": "rebuilder",
        },
    )
