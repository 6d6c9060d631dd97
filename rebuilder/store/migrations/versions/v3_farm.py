"""3: the farm: cases, jobs, leases, workers. Version 1 had empty tables under two of the names."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "3"
down_revision = "2"

_SHARE = sa.text("kind = 'rebuild' AND slot < 1000 AND quorum > 1 AND state IN ('leased', 'done')")
_OWED_PLAN = sa.text("kind = 'plan' AND state IN ('ready', 'waiting', 'leased', 'held')")


def upgrade() -> None:
    """Make the tables."""
    op.drop_table("leases")
    op.drop_table("jobs")
    op.create_table(
        "blocks",
        sa.Column("pattern", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("made_at", sa.String(20), nullable=False),
        sa.PrimaryKeyConstraint("pattern"),
    )
    op.create_table(
        "cases",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("suite", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("architecture", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("quorum", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("opened_by", sa.Integer(), nullable=False),
        sa.Column("release", sa.String(71), nullable=False),
        sa.Column("trust", sa.String(71), nullable=False),
        sa.Column("planned", sa.String(71)),
        sa.Column("comparison", sa.String(71)),
        sa.Column("dossier", sa.String(71)),
        sa.Column("directory", sa.Text()),
        sa.Column("verdict", sa.Text()),
        sa.Column("opened_at", sa.String(20), nullable=False),
        sa.Column("closed_at", sa.String(20)),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("opened_by", "version", "architecture"),
    )
    op.create_index("ix_cases_name", "cases", ["name"])
    op.create_index("ix_cases_state", "cases", ["state"])
    op.create_table(
        "imports",
        sa.Column("suite", sa.Text(), nullable=False),
        sa.Column("architecture", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(71), nullable=False),
        sa.Column("is_security", sa.Boolean(), nullable=False),
        sa.Column("first_at", sa.String(20), nullable=False),
        sa.Column("changed_at", sa.String(20), nullable=False),
        sa.PrimaryKeyConstraint("suite", "architecture"),
    )
    op.create_table(
        "leader",
        sa.Column("office", sa.Text(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("expires_at", sa.String(20), nullable=False),
        sa.PrimaryKeyConstraint("office"),
    )
    op.create_table(
        "nonces",
        sa.Column("keyid", sa.String(length=64), nullable=False),
        sa.Column("nonce", sa.String(length=64), nullable=False),
        sa.Column("expires_at", sa.String(20), nullable=False),
        sa.PrimaryKeyConstraint("keyid", "nonce"),
    )
    op.create_index("ix_nonces_expires_at", "nonces", ["expires_at"])
    op.create_table(
        "offers",
        sa.Column("suite", sa.Text(), nullable=False),
        sa.Column("architecture", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(71), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("first_seen", sa.String(20), nullable=False),
        sa.Column("changed_at", sa.String(20)),
        sa.Column("gone_at", sa.String(20)),
        sa.PrimaryKeyConstraint("suite", "architecture", "name", "version"),
    )
    op.create_table(
        "queues",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("resources", sa.Text(), nullable=False),
        sa.Column("tags", sa.Text(), nullable=False),
        sa.Column("suite", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "suites",
        sa.Column("suite", sa.Text(), nullable=False),
        sa.Column("paused", sa.Text()),
        sa.Column("quota", sa.Integer()),
        sa.Column("changed_at", sa.String(20), nullable=False),
        sa.PrimaryKeyConstraint("suite"),
    )
    op.create_table(
        "tokens",
        sa.Column("digest", sa.String(71), nullable=False),
        sa.Column("roles", sa.Text(), nullable=False),
        sa.Column("tags", sa.Text(), nullable=False),
        sa.Column("resources", sa.Text(), nullable=False),
        sa.Column("domain", sa.Text(), nullable=False),
        sa.Column("made_at", sa.String(20), nullable=False),
        sa.Column("expires_at", sa.String(20), nullable=False),
        sa.Column("used_by", sa.String(length=64)),
        sa.PrimaryKeyConstraint("digest"),
    )
    op.create_table(
        "workers",
        sa.Column("keyid", sa.String(length=64), nullable=False),
        sa.Column("pem", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("roles", sa.Text(), nullable=False),
        sa.Column("tags", sa.Text(), nullable=False),
        sa.Column("resources", sa.Text(), nullable=False),
        sa.Column("domain", sa.Text(), nullable=False),
        sa.Column("enrolled_at", sa.String(20), nullable=False),
        sa.Column("seen_at", sa.String(20)),
        sa.Column("revoked_at", sa.String(20)),
        sa.Column("draining", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("keyid"),
    )
    op.create_table(
        "jobs",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("case", sa.Integer()),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("slot", sa.Integer(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("suite", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("resources", sa.Text(), nullable=False),
        sa.Column("tags", sa.Text(), nullable=False),
        sa.Column("queue", sa.Text(), nullable=False),
        sa.Column("quorum", sa.Integer(), nullable=False),
        sa.Column("plan", sa.String(71)),
        sa.Column("input", sa.String(71)),
        sa.Column("output", sa.String(71)),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("worker", sa.Text()),
        sa.Column("domain", sa.Text()),
        sa.Column("cancel", sa.Boolean(), nullable=False),
        sa.Column("not_before", sa.String(20)),
        sa.Column("woken_at", sa.String(20)),
        sa.Column("cause", sa.Text()),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("created_at", sa.String(20), nullable=False),
        sa.Column("changed_at", sa.String(20), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("case", "kind", "slot"),
        sa.ForeignKeyConstraint(["case"], ["cases.id"]),
    )
    op.create_index("ix_jobs_name", "jobs", ["name"])
    op.create_index("jobs_due", "jobs", ["state", "not_before"])
    op.create_index("jobs_head", "jobs", ["queue", "state", "rank", "id"])
    op.create_index("jobs_of_suite", "jobs", ["suite", "state", "kind"])
    op.create_index(
        "jobs_one_of_a_domain", "jobs", ["case", "domain"], unique=True, sqlite_where=_SHARE, postgresql_where=_SHARE
    )
    op.create_index(
        "jobs_one_plan_a_target", "jobs", ["target"], unique=True, sqlite_where=_OWED_PLAN, postgresql_where=_OWED_PLAN
    )
    op.create_table(
        "leases",
        sa.Column("job", sa.Integer(), nullable=False),
        sa.Column("fence", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("worker", sa.Text(), nullable=False),
        sa.Column("ordinal", sa.Integer()),
        sa.Column("claimed_at", sa.String(20), nullable=False),
        sa.Column("heartbeat_at", sa.String(20), nullable=False),
        sa.Column("expires_at", sa.String(20), nullable=False),
        sa.Column("ended_at", sa.String(20)),
        sa.Column("ending", sa.Text()),
        sa.ForeignKeyConstraint(["job"], ["jobs.id"]),
        sa.PrimaryKeyConstraint("job", "fence"),
    )
    op.create_index("leases_alive", "leases", ["ended_at", "expires_at"])
