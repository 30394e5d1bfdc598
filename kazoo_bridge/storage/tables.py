"""The tables as this version of the code expects them; ``migrations/`` gets a database there.

Times: hooks and accounts count Gregorian seconds, as KAZOO's documents do; everything else Unix seconds.
"""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

#: SQLite counts up by itself only in columns of exactly this type.
Counter = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

accounts = sa.Table(
    "accounts",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("parent_id", sa.String(32), sa.ForeignKey("accounts.id"), index=True),
    sa.Column("name", sa.String(128), nullable=False),
    sa.Column("realm", sa.String(253), nullable=False, index=True),
    sa.Column("superadmin", sa.Boolean, nullable=False),
    sa.Column("created", sa.BigInteger, nullable=False),
)

# Of tokens and API keys only the SHA-256 is kept: they are 256 random bits, which nobody finds by trying.
tokens = sa.Table(
    "tokens",
    metadata,
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column(
        "account_id",
        sa.String(32),
        sa.ForeignKey("accounts.id", ondelete="CASCADE"),
        nullable=False,
        index=True,
    ),
    sa.Column("created", sa.Double, nullable=False),
    sa.Column("expires", sa.Double, index=True),
)

api_keys = sa.Table(
    "api_keys",
    metadata,
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column(
        "account_id",
        sa.String(32),
        sa.ForeignKey("accounts.id", ondelete="CASCADE"),
        nullable=False,
        index=True,
    ),
    sa.Column("created", sa.Double, nullable=False),
)

# Whose the telephone numbers are. `number` is nothing but digits.
numbers = sa.Table(
    "numbers",
    metadata,
    sa.Column("number", sa.String(32), primary_key=True),
    sa.Column(
        "account_id",
        sa.String(32),
        sa.ForeignKey("accounts.id", ondelete="CASCADE"),
        nullable=False,
        index=True,
    ),
)

# Without a foreign key: a hook's account may be known to another directory than the local one.
hooks = sa.Table(
    "hooks",
    metadata,
    sa.Column("sequence", Counter, primary_key=True, autoincrement=True),
    sa.Column("id", sa.String(32), nullable=False, unique=True),
    sa.Column("account_id", sa.String(32), nullable=False),
    sa.Column("document", sa.Text, nullable=False),
    sa.Column("secrets", sa.Text, nullable=False, server_default="[]"),
    sa.Column("revision", sa.String(64), nullable=False),
    sa.Column("created", sa.BigInteger, nullable=False),
    sa.Column("modified", sa.BigInteger, nullable=False),
    sa.Index(None, "account_id", "sequence"),
    sqlite_autoincrement=True,
)

# What was written lately, so that other processes on the same database notice. A number is never used twice.
changes = sa.Table(
    "changes",
    metadata,
    sa.Column("seq", Counter, primary_key=True, autoincrement=True),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("subject", sa.String(64), nullable=False),
    sa.Column("made", sa.Double, nullable=False),
    sqlite_autoincrement=True,
)

# What was sent to hooks and what came back, as far as it is kept. `revision` is the hook's: failures before an edit no longer count.
attempts = sa.Table(
    "attempts",
    metadata,
    sa.Column("sequence", Counter, primary_key=True, autoincrement=True),
    sa.Column("account_id", sa.String(32), nullable=False),
    sa.Column("hook_id", sa.String(64), nullable=False),
    sa.Column("revision", sa.String(64), nullable=False),
    sa.Column("failed", sa.Boolean, nullable=False),
    sa.Column("made", sa.Double, nullable=False, index=True),
    sa.Column("document", sa.Text, nullable=False),
    sa.Index(None, "account_id", "sequence"),
    sa.Index(None, "hook_id", "sequence"),
    sqlite_autoincrement=True,
)

hook_health = sa.Table(
    "hook_health",
    metadata,
    sa.Column("hook_id", sa.String(64), primary_key=True),
    sa.Column("last_success", sa.Double),
    sa.Column("last_failure", sa.Double),
    sa.Column("successes", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("failures", sa.BigInteger, nullable=False, server_default="0"),
)

# Limits of single accounts; NULL: the configuration's.
account_limits = sa.Table(
    "account_limits",
    metadata,
    sa.Column("account_id", sa.String(32), primary_key=True),
    sa.Column("attempt_failure_count", sa.Integer),
    sa.Column("attempt_failure_expiry_ms", sa.BigInteger),
)

# What all nodes on one storage have in common.
settings = sa.Table(
    "settings",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)

# Deliveries that could not be made at once. `status`: pending (goes out when its time comes), held (its hook is disabled), dead.
# `ordering` is empty where order does not matter. Whoever holds the lease sends it; a lease that has run out is free again.
# `waiting_since` is when it was last replayed; NULL: never, it has been waiting since it was created.
deliveries = sa.Table(
    "deliveries",
    metadata,
    sa.Column("sequence", Counter, primary_key=True, autoincrement=True),
    sa.Column("id", sa.String(64), nullable=False, unique=True),
    sa.Column("hook_id", sa.String(64), nullable=False),
    sa.Column("account_id", sa.String(32), nullable=False),
    sa.Column("event", sa.String(64), nullable=False),
    sa.Column("event_id", sa.String(64), nullable=False),
    sa.Column("ordering", sa.String(64), nullable=False),
    sa.Column("payload", sa.Text, nullable=False),
    sa.Column("own_hook", sa.Text),
    sa.Column("status", sa.String(8), nullable=False),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("next_attempt", sa.Double, nullable=False),
    sa.Column("lease_owner", sa.String(32)),
    sa.Column("lease_until", sa.Double, nullable=False),
    sa.Column("created", sa.Double, nullable=False),
    sa.Column("changed", sa.Double, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("waiting_since", sa.Double),
    sa.Index(None, "status", "hook_id", "next_attempt"),
    sa.Index(None, "hook_id", "ordering", "sequence"),
    sa.Index(None, "account_id", "sequence"),
    sa.Index(None, "status", "changed"),
    sqlite_autoincrement=True,
)
