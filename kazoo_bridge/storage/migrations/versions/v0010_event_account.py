"""The account that an event is about: an account that has moved is no longer shown above its old place."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; NULL means unknown."""
    for table in ("attempts", "deliveries"):
        op.add_column(table, sa.Column("event_account_id", sa.String(32)))
