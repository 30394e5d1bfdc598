"""Suspended hooks, which enable themselves, and the events that hooks have missed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns and the table; hooks that are disabled already stay so until a person enables them."""
    op.add_column("hooks", sa.Column("suspended_since", sa.Double))
    op.add_column("hooks", sa.Column("next_probe", sa.Double))
    op.add_column("hooks", sa.Column("probes", sa.Integer, nullable=False, server_default="0"))
    op.create_index("ix_hooks_next_probe", "hooks", ["next_probe"])
    op.create_table(
        "missed_events",
        sa.Column("hook_id", sa.String(64), nullable=False),
        sa.Column("reason", sa.String(32), nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("hook_id", "reason", name="pk_missed_events"),
    )
