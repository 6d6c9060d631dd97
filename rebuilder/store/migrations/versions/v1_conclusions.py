"""1: what was concluded, and what was observed. Its jobs and leases were never used."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "1"
down_revision = None

_SIZE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "events",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("at", sa.String(20), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "index_dates",
        sa.Column("archive", sa.Text(), nullable=False),
        sa.Column("suite", sa.Text(), nullable=False),
        sa.Column("highest", sa.String(20), nullable=False),
        sa.Column("document", sa.String(71), nullable=False),
        sa.Column("seen_at", sa.String(20), nullable=False),
        sa.PrimaryKeyConstraint("archive", "suite"),
    )
    op.create_table(
        "outputs",
        sa.Column("plan", sa.String(71), nullable=False),
        sa.Column("builder", sa.Text(), nullable=False),
        sa.Column("ordinal", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("filename", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(71), nullable=False),
        sa.Column("size_bytes", _SIZE, nullable=False),
        sa.PrimaryKeyConstraint("plan", "builder", "ordinal", "filename"),
    )
    op.create_table(
        "rebuilds",
        sa.Column("plan", sa.String(71), nullable=False),
        sa.Column("builder", sa.Text(), nullable=False),
        sa.Column("ordinal", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("reserved_at", sa.String(20), nullable=False),
        sa.Column("document", sa.String(71)),
        sa.Column("outcome", sa.Text()),
        sa.Column("reason", sa.Text()),
        sa.Column("log", sa.String(71)),
        sa.Column("environment_tree", sa.String(71)),
        sa.Column("fresh_environment", sa.Boolean()),
        sa.Column("started_at", sa.String(20)),
        sa.Column("finished_at", sa.String(20)),
        sa.PrimaryKeyConstraint("plan", "builder", "ordinal"),
    )
    op.create_table(
        "releases",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("ecosystem", sa.Text(), nullable=False),
        sa.Column("distribution", sa.Text(), nullable=False),
        sa.Column("suite", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("document", sa.String(71), nullable=False),
        sa.Column("first_seen", sa.String(20), nullable=False),
        sa.Column("last_seen", sa.String(20), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("ecosystem", "distribution", "suite", "name", "version"),
    )
    op.create_table(
        "sightings",
        sa.Column("ecosystem", sa.Text(), nullable=False),
        sa.Column("distribution", sa.Text(), nullable=False),
        sa.Column("filename", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(71), nullable=False),
        sa.Column("size_bytes", _SIZE, nullable=False),
        sa.Column("first_seen", sa.String(20), nullable=False),
        sa.Column("last_seen", sa.String(20), nullable=False),
        sa.PrimaryKeyConstraint("ecosystem", "distribution", "filename", "digest"),
    )
    op.create_table(
        "artifacts",
        sa.Column("release", sa.Integer(), nullable=False),
        sa.Column("filename", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("architecture", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(71)),
        sa.Column("size_bytes", _SIZE),
        sa.ForeignKeyConstraint(["release"], ["releases.id"]),
        sa.PrimaryKeyConstraint("release", "filename"),
    )
    op.create_table(
        "comparisons",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("release", sa.Integer(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("architecture", sa.Text(), nullable=False),
        sa.Column("plan", sa.String(71)),
        sa.Column("builder", sa.Text()),
        sa.Column("ordinal", sa.Integer()),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("causes", sa.JSON(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("dossier", sa.String(71), nullable=False),
        sa.Column("directory", sa.Text(), nullable=False),
        sa.Column("concluded_at", sa.String(20), nullable=False),
        sa.ForeignKeyConstraint(["release"], ["releases.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("dossier"),
    )
    op.create_index("ix_comparisons_concluded_at", "comparisons", ["concluded_at"])
    op.create_index("ix_comparisons_plan", "comparisons", ["plan"])
    op.create_index("ix_comparisons_release", "comparisons", ["release"])
    op.create_table(
        "attestations",
        sa.Column("comparison", sa.Integer(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("filename", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(71), nullable=False),
        sa.ForeignKeyConstraint(["comparison"], ["comparisons.id"]),
        sa.PrimaryKeyConstraint("comparison", "path"),
    )
    op.create_table(
        "verdicts",
        sa.Column("comparison", sa.Integer(), nullable=False),
        sa.Column("filename", sa.Text(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("causes", sa.JSON(), nullable=False),
        sa.Column("stabilizers", sa.JSON(), nullable=False),
        sa.Column("control", sa.Text(), nullable=False),
        sa.Column("reference", sa.String(71)),
        sa.Column("rebuilt", sa.String(71)),
        sa.ForeignKeyConstraint(["comparison"], ["comparisons.id"]),
        sa.PrimaryKeyConstraint("comparison", "filename"),
    )
    op.create_table(
        "jobs",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("release", sa.Integer(), sa.ForeignKey("releases.id"), nullable=False),
        sa.Column("plan", sa.String(71)),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("not_before", sa.String(20)),
        sa.Column("created_at", sa.String(20), nullable=False),
        sa.Column("changed_at", sa.String(20), nullable=False),
        sa.Index("jobs_owed", "state", "priority", "id"),
    )
    op.create_table(
        "leases",
        sa.Column("job", sa.Integer(), sa.ForeignKey("jobs.id"), primary_key=True),
        sa.Column("fence", sa.Integer(), primary_key=True),
        sa.Column("worker", sa.Text(), nullable=False),
        sa.Column("claimed_at", sa.String(20), nullable=False),
        sa.Column("heartbeat_at", sa.String(20), nullable=False),
        sa.Column("expires_at", sa.String(20), nullable=False),
        sa.Column("ended_at", sa.String(20)),
    )
