"""Attempts, the health of hooks, limits of accounts, and what all nodes have in common."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_Counter = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "attempts",
        sa.Column("sequence", _Counter, autoincrement=True, nullable=False),
        sa.Column("account_id", sa.String(32), nullable=False),
        sa.Column("hook_id", sa.String(64), nullable=False),
        sa.Column("revision", sa.String(64), nullable=False),
        sa.Column("failed", sa.Boolean, nullable=False),
        sa.Column("made", sa.Double, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("sequence", name="pk_attempts"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_attempts_account_id_sequence", "attempts", ["account_id", "sequence"])
    op.create_index("ix_attempts_hook_id_sequence", "attempts", ["hook_id", "sequence"])
    op.create_index("ix_attempts_made", "attempts", ["made"])
    op.create_table(
        "hook_health",
        sa.Column("hook_id", sa.String(64), nullable=False),
        sa.Column("last_success", sa.Double),
        sa.Column("last_failure", sa.Double),
        sa.PrimaryKeyConstraint("hook_id", name="pk_hook_health"),
    )
    op.create_table(
        "account_limits",
        sa.Column("account_id", sa.String(32), nullable=False),
        sa.Column("attempt_failure_count", sa.Integer),
        sa.Column("attempt_failure_expiry_ms", sa.BigInteger),
        sa.PrimaryKeyConstraint("account_id", name="pk_account_limits"),
    )
    op.create_table(
        "settings",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_settings"),
    )
