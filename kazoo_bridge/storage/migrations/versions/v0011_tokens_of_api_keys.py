"""The API key that a token was made for: the tokens of one key are bounded."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; NULL means that the token was not made by a login."""
    op.add_column("tokens", sa.Column("api_key", sa.String(64)))
    op.create_index("ix_tokens_api_key_created", "tokens", ["api_key", "created"])
