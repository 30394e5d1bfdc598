"""What hooks of KAZOO's CouchDB have beyond their documents there."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table; only a node with ``webhooks.source = "couchdb"`` uses it."""
    op.create_table(
        "hook_extras",
        sa.Column("hook_id", sa.String(64), nullable=False),
        sa.Column("account_id", sa.String(32), nullable=False),
        sa.Column("options", sa.Text, nullable=False, server_default="{}"),
        sa.Column("secrets", sa.Text, nullable=False, server_default="[]"),
        sa.Column("headers", sa.Text, nullable=False, server_default="{}"),
        sa.Column("suspended_since", sa.Double),
        sa.Column("next_probe", sa.Double),
        sa.Column("probes", sa.Integer, nullable=False, server_default="0"),
        sa.PrimaryKeyConstraint("hook_id", name="pk_hook_extras"),
    )
    op.create_index("ix_hook_extras_next_probe", "hook_extras", ["next_probe"])
    op.create_index("ix_hook_extras_account_id", "hook_extras", ["account_id"])
