"""The source of the hook of each delivery, for changes of webhooks.source."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; NULL means unknown."""
    op.add_column("deliveries", sa.Column("hook_source", sa.String(16)))
