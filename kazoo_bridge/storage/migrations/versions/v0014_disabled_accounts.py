"""Accounts that are disabled."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; the accounts that are there are enabled."""
    op.add_column("accounts", sa.Column("enabled", sa.Boolean, nullable=False, server_default=sa.true()))
