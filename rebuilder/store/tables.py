"""The ledger's tables (SQLAlchemy Core). Portable: what SQLite holds on one machine, PostgreSQL holds on a farm.

Times are RFC 3339 text in UTC, so that they sort; digests are `sha256:<hex>` text; closed sets are their wire words. A
row is never edited to say something else: what is concluded later is another row. Only this package sees rows.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy.engine import Dialect

from rebuilder.model.codec import parse_time, render_time
from rebuilder.model.digest import Digest

SCHEMA_VERSION = 3
"""Version of a ledger with these tables; raised by each migration.

2: `withdrawals`. 3: the farm (`farm_tables`). Each has its file in `migrations/versions`.
"""


class Moment(TypeDecorator[datetime]):
    """An aware time, stored as RFC 3339 text in UTC."""

    impl = String(20)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:  # noqa: ARG002 - the base's
        """Write it."""
        return None if value is None else render_time(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - the base's
        """Read it."""
        return None if value is None else parse_time(value)


class Sha256(TypeDecorator[Digest]):
    """A digest, stored as `sha256:<hex>`."""

    impl = String(71)
    cache_ok = True

    def process_bind_param(self, value: Digest | None, dialect: Dialect) -> str | None:  # noqa: ARG002 - the base's
        """Write it."""
        return None if value is None else str(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Digest | None:  # noqa: ARG002 - the base's
        """Read it."""
        return None if value is None else Digest.parse(value)


Size = BigInteger().with_variant(Integer(), "sqlite")
"""Bytes: PostgreSQL's plain integers end at 2 GiB."""

metadata = MetaData()

alembic_version = Table("alembic_version", metadata, Column("version_num", String(32), primary_key=True))

releases = Table(
    "releases",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("ecosystem", Text, nullable=False),
    Column("distribution", Text, nullable=False),
    Column("suite", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("document", Sha256, nullable=False),
    Column("first_seen", Moment, nullable=False),
    Column("last_seen", Moment, nullable=False),
    UniqueConstraint("ecosystem", "distribution", "suite", "name", "version"),
)

artifacts = Table(
    "artifacts",
    metadata,
    Column("release", ForeignKey("releases.id"), primary_key=True),
    Column("filename", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("architecture", Text, nullable=False),
    Column("digest", Sha256),
    Column("size_bytes", Size),
)

rebuilds = Table(
    "rebuilds",
    metadata,
    Column("plan", Sha256, primary_key=True),
    Column("builder", Text, primary_key=True),
    Column("ordinal", Integer, primary_key=True, autoincrement=False),
    Column("reserved_at", Moment, nullable=False),
    Column("document", Sha256),
    Column("outcome", Text),
    Column("reason", Text),
    Column("log", Sha256),
    Column("environment_tree", Sha256),
    Column("fresh_environment", Boolean),
    Column("started_at", Moment),
    Column("finished_at", Moment),
)

outputs = Table(
    "outputs",
    metadata,
    Column("plan", Sha256, primary_key=True),
    Column("builder", Text, primary_key=True),
    Column("ordinal", Integer, primary_key=True, autoincrement=False),
    Column("filename", Text, primary_key=True),
    Column("digest", Sha256, nullable=False),
    Column("size_bytes", Size, nullable=False),
)

comparisons = Table(
    "comparisons",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("release", ForeignKey("releases.id"), nullable=False, index=True),
    Column("version", Text, nullable=False),
    Column("architecture", Text, nullable=False),
    Column("plan", Sha256, index=True),
    Column("builder", Text),
    Column("ordinal", Integer),
    Column("rule", Text, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("causes", JSON, nullable=False),
    Column("reason", Text, nullable=False),
    Column("dossier", Sha256, nullable=False, unique=True),
    Column("directory", Text, nullable=False),
    Column("concluded_at", Moment, nullable=False, index=True),
)

verdicts = Table(
    "verdicts",
    metadata,
    Column("comparison", ForeignKey("comparisons.id"), primary_key=True),
    Column("filename", Text, primary_key=True),
    Column("verdict", Text, nullable=False),
    Column("causes", JSON, nullable=False),
    Column("stabilizers", JSON, nullable=False),
    Column("control", Text, nullable=False),
    Column("reference", Sha256),
    Column("rebuilt", Sha256),
)

attestations = Table(
    "attestations",
    metadata,
    Column("comparison", ForeignKey("comparisons.id"), primary_key=True),
    Column("path", Text, primary_key=True),
    Column("filename", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("digest", Sha256, nullable=False),
)

withdrawals = Table(
    "withdrawals",
    metadata,
    Column("comparison", ForeignKey("comparisons.id"), primary_key=True),
    Column("reason", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("superseded_by", Sha256),
    Column("digest", Sha256, nullable=False),
    Column("withdrawn_at", Moment, nullable=False),
)

index_dates = Table(
    "index_dates",
    metadata,
    Column("archive", Text, primary_key=True),
    Column("suite", Text, primary_key=True),
    Column("highest", Moment, nullable=False),
    Column("document", Sha256, nullable=False),
    Column("seen_at", Moment, nullable=False),
)

sightings = Table(
    "sightings",
    metadata,
    Column("ecosystem", Text, primary_key=True),
    Column("distribution", Text, primary_key=True),
    Column("filename", Text, primary_key=True),
    Column("digest", Sha256, primary_key=True),
    Column("size_bytes", Size, nullable=False),
    Column("first_seen", Moment, nullable=False),
    Column("last_seen", Moment, nullable=False),
)

events = Table(
    "events",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("at", Moment, nullable=False),
)
