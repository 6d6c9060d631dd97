"""The farm's tables: cases, jobs, leases, workers. The same rules as `tables`; only this package sees rows.

`queues` lists the few queues that jobs are in, so that a claim looks at the head of each and never at their length.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from rebuilder.store.tables import Moment, Sha256, metadata

OPEN_PLAN = text("kind = 'plan' AND state IN ('ready', 'waiting', 'leased', 'held')")
"""A plan that is owed. A query that says it in these words can use the index by target, on either database."""

cases = Table(
    "cases",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("target", Text, nullable=False),
    Column("suite", Text, nullable=False),
    Column("name", Text, nullable=False, index=True),
    Column("version", Text, nullable=False),
    Column("architecture", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("quorum", Integer, nullable=False),
    Column("state", Text, nullable=False, index=True),
    Column("opened_by", Integer, nullable=False),
    Column("release", Sha256, nullable=False),
    Column("trust", Sha256, nullable=False),
    Column("planned", Sha256),
    Column("comparison", Sha256),
    Column("dossier", Sha256),
    Column("directory", Text),
    Column("verdict", Text),
    Column("opened_at", Moment, nullable=False),
    Column("closed_at", Moment),
    UniqueConstraint("opened_by", "version", "architecture"),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("case", ForeignKey("cases.id")),
    Column("kind", Text, nullable=False),
    Column("slot", Integer, nullable=False),
    Column("target", Text, nullable=False),
    Column("suite", Text, nullable=False),
    Column("name", Text, nullable=False, index=True),
    Column("purpose", Text, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("rank", Integer, nullable=False),
    Column("resources", Text, nullable=False),
    Column("tags", Text, nullable=False),
    Column("queue", Text, nullable=False),
    Column("quorum", Integer, nullable=False),
    Column("plan", Sha256),
    Column("input", Sha256),
    Column("output", Sha256),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("fence", Integer, nullable=False),
    Column("worker", Text),
    Column("domain", Text),
    Column("cancel", Boolean, nullable=False),
    Column("not_before", Moment),
    Column("woken_at", Moment),
    Column("cause", Text),
    Column("message", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("changed_at", Moment, nullable=False),
    UniqueConstraint("case", "kind", "slot"),
    Index("jobs_head", "queue", "state", "rank", "id"),
    Index("jobs_due", "state", "not_before"),
    Index("jobs_of_suite", "suite", "state", "kind"),
    Index(
        "jobs_one_of_a_domain",
        "case",
        "domain",
        unique=True,
        sqlite_where=text("kind = 'rebuild' AND slot < 1000 AND quorum > 1 AND state IN ('leased', 'done')"),
        postgresql_where=text("kind = 'rebuild' AND slot < 1000 AND quorum > 1 AND state IN ('leased', 'done')"),
    ),
    Index(
        "jobs_one_plan_a_target",
        "target",
        unique=True,
        sqlite_where=OPEN_PLAN,
        postgresql_where=OPEN_PLAN,
    ),
)

leases = Table(
    "leases",
    metadata,
    Column("job", ForeignKey("jobs.id"), primary_key=True),
    Column("fence", Integer, primary_key=True, autoincrement=False),
    Column("worker", Text, nullable=False),
    Column("ordinal", Integer),
    Column("claimed_at", Moment, nullable=False),
    Column("heartbeat_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False),
    Column("ended_at", Moment),
    Column("ending", Text),
    Index("leases_alive", "ended_at", "expires_at"),
)

queues = Table(
    "queues",
    metadata,
    Column("name", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("resources", Text, nullable=False),
    Column("tags", Text, nullable=False),
    Column("suite", Text, nullable=False),
)

workers = Table(
    "workers",
    metadata,
    Column("keyid", String(64), primary_key=True),
    Column("pem", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("roles", Text, nullable=False),
    Column("tags", Text, nullable=False),
    Column("resources", Text, nullable=False),
    Column("domain", Text, nullable=False),
    Column("enrolled_at", Moment, nullable=False),
    Column("seen_at", Moment),
    Column("revoked_at", Moment),
    Column("draining", Boolean, nullable=False),
)

tokens = Table(
    "tokens",
    metadata,
    Column("digest", Sha256, primary_key=True),
    Column("roles", Text, nullable=False),
    Column("tags", Text, nullable=False),
    Column("resources", Text, nullable=False),
    Column("domain", Text, nullable=False),
    Column("made_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False),
    Column("used_by", String(64)),
)

nonces = Table(
    "nonces",
    metadata,
    Column("keyid", String(64), primary_key=True),
    Column("nonce", String(64), primary_key=True),
    Column("expires_at", Moment, nullable=False, index=True),
)

blocks = Table(
    "blocks",
    metadata,
    Column("pattern", Text, primary_key=True),
    Column("reason", Text, nullable=False),
    Column("made_at", Moment, nullable=False),
)

suites = Table(
    "suites",
    metadata,
    Column("suite", Text, primary_key=True),
    Column("paused", Text),
    Column("quota", Integer),
    Column("changed_at", Moment, nullable=False),
)

offers = Table(
    "offers",
    metadata,
    Column("suite", Text, primary_key=True),
    Column("architecture", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("version", Text, primary_key=True),
    Column("target", Text, nullable=False),
    Column("digest", Sha256, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("first_seen", Moment, nullable=False),
    Column("changed_at", Moment),
    Column("gone_at", Moment),
)

imports = Table(
    "imports",
    metadata,
    Column("suite", Text, primary_key=True),
    Column("architecture", Text, primary_key=True),
    Column("digest", Sha256, nullable=False),
    Column("is_security", Boolean, nullable=False),
    Column("first_at", Moment, nullable=False),
    Column("changed_at", Moment, nullable=False),
)

leader = Table(
    "leader",
    metadata,
    Column("office", Text, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("fence", Integer, nullable=False),
    Column("expires_at", Moment, nullable=False),
)
