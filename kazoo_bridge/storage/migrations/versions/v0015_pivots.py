"""Pivot points, and the requests to them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_SEQUENCE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "pivots",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("account_id", sa.String(32), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("secret", sa.String(64), nullable=False),
        sa.Column("revision", sa.String(64), nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("modified", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_pivots"),
        sa.UniqueConstraint("account_id", "name", name="uq_pivots_account_id_name"),
    )
    op.create_table(
        "pivot_records",
        sa.Column("sequence", _SEQUENCE, autoincrement=True, nullable=False),
        sa.Column("account_id", sa.String(32), nullable=False),
        sa.Column("pivot_point_id", sa.String(32), nullable=False),
        sa.Column("time", sa.Double, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("sequence", name="pk_pivot_records"),
    )
    op.create_index("ix_pivot_records_time", "pivot_records", ["time"])
    op.create_index(
        "ix_pivot_records_pivot_point_id_sequence", "pivot_records", ["pivot_point_id", "sequence"]
    )
