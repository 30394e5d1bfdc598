"""Deliveries that are replayed wait anew, however old they are."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; those that wait already have waited since they were made."""
    op.add_column("deliveries", sa.Column("waiting_since", sa.Double))
