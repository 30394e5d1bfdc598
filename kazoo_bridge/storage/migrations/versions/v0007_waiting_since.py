"""The time since which a delivery has been waiting: a replay begins it again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; NULL means since the delivery was made."""
    op.add_column("deliveries", sa.Column("waiting_since", sa.Double))
