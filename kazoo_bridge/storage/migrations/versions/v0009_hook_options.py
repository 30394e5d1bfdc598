"""The values of hooks' own request headers, and what replays of attempts need."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; the attempts that are there cannot be replayed."""
    op.add_column("hooks", sa.Column("headers", sa.Text, nullable=False, server_default="{}"))
    op.add_column("attempts", sa.Column("replay", sa.Text))
