"""How many attempts at each hook succeeded and failed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; counting begins now."""
    for name in ("successes", "failures"):
        op.add_column("hook_health", sa.Column(name, sa.BigInteger, nullable=False, server_default="0"))
