"""The secrets with which hooks are signed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; the hooks that are there have no secrets."""
    op.add_column("hooks", sa.Column("secrets", sa.Text, nullable=False, server_default="[]"))
