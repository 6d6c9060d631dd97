"""2: withdrawals."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "2"
down_revision = "1"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "withdrawals",
        sa.Column("comparison", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("superseded_by", sa.String(71)),
        sa.Column("digest", sa.String(71), nullable=False),
        sa.Column("withdrawn_at", sa.String(20), nullable=False),
        sa.ForeignKeyConstraint(["comparison"], ["comparisons.id"]),
        sa.PrimaryKeyConstraint("comparison"),
    )
