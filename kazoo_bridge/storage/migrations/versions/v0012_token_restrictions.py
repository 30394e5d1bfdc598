"""The requests for which a token may be used."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column, JSON; NULL means that the token has no restrictions."""
    op.add_column("tokens", sa.Column("restrictions", sa.Text))
