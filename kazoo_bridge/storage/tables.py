"""The tables that this version of the code expects; ``migrations/`` creates and upgrades them.

Times of hooks and accounts are in Gregorian seconds, like those of KAZOO's documents; all others in Unix
seconds.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

#: SQLite increments columns of exactly this type only.
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
    sa.Column("enabled", sa.Boolean, nullable=False, server_default=sa.true()),
)

# Of tokens and API keys only the SHA-256 is stored. They are 256 random bits: a plain hash cannot be
# searched.
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
    # JSON; see kazoo_bridge.interfaces.token_restrictions.
    sa.Column("restrictions", sa.Text),
    # The digest of the API key with which the token was made.
    sa.Column("api_key", sa.String(64)),
    sa.Index(None, "api_key", "created"),
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

# Telephone numbers and their owners. `number` contains only digits.
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

# Without a foreign key: a hook's account may belong to another directory than the local one.
# `suspended_since` and `next_probe`: NULL unless the hook is suspended.
hooks = sa.Table(
    "hooks",
    metadata,
    sa.Column("sequence", Counter, primary_key=True, autoincrement=True),
    sa.Column("id", sa.String(32), nullable=False, unique=True),
    sa.Column("account_id", sa.String(32), nullable=False),
    sa.Column("document", sa.Text, nullable=False),
    sa.Column("secrets", sa.Text, nullable=False, server_default="[]"),
    sa.Column("headers", sa.Text, nullable=False, server_default="{}"),
    sa.Column("revision", sa.String(64), nullable=False),
    sa.Column("created", sa.BigInteger, nullable=False),
    sa.Column("modified", sa.BigInteger, nullable=False),
    sa.Column("suspended_since", sa.Double),
    sa.Column("next_probe", sa.Double, index=True),
    sa.Column("probes", sa.Integer, nullable=False, server_default="0"),
    sa.Index(None, "account_id", "sequence"),
    sqlite_autoincrement=True,
)

# What hooks of KAZOO's CouchDB have beyond their documents there: keys that KAZOO does not know (`options`),
# secrets, values of headers, and the suspension, as in `hooks`.
hook_extras = sa.Table(
    "hook_extras",
    metadata,
    sa.Column("hook_id", sa.String(64), primary_key=True),
    sa.Column("account_id", sa.String(32), nullable=False, index=True),
    sa.Column("options", sa.Text, nullable=False, server_default="{}"),
    sa.Column("secrets", sa.Text, nullable=False, server_default="[]"),
    sa.Column("headers", sa.Text, nullable=False, server_default="{}"),
    sa.Column("suspended_since", sa.Double),
    sa.Column("next_probe", sa.Double, index=True),
    sa.Column("probes", sa.Integer, nullable=False, server_default="0"),
)

# Pivot points. `secret` is a part of the URL that KAZOO requests.
pivots = sa.Table(
    "pivots",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("account_id", sa.String(32), nullable=False),
    sa.Column("name", sa.String(64), nullable=False),
    sa.Column("document", sa.Text, nullable=False),
    sa.Column("secret", sa.String(64), nullable=False),
    sa.Column("revision", sa.String(64), nullable=False),
    sa.Column("created", sa.BigInteger, nullable=False),
    sa.Column("modified", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("account_id", "name"),
)

# Requests to pivot points that have been answered, or have got the fallback.
pivot_records = sa.Table(
    "pivot_records",
    metadata,
    sa.Column("sequence", Counter, primary_key=True, autoincrement=True),
    sa.Column("account_id", sa.String(32), nullable=False),
    sa.Column("pivot_point_id", sa.String(32), nullable=False),
    sa.Column("time", sa.Double, nullable=False, index=True),
    sa.Column("document", sa.Text, nullable=False),
    sa.Index(None, "pivot_point_id", "sequence"),
)

# Recent changes, which other processes on the same database read. A number is never used twice.
changes = sa.Table(
    "changes",
    metadata,
    sa.Column("seq", Counter, primary_key=True, autoincrement=True),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("subject", sa.String(64), nullable=False),
    sa.Column("made", sa.Double, nullable=False),
    sqlite_autoincrement=True,
)

# Attempts at deliveries. `revision` is the hook's: failures from before an edit of the hook do not count.
# `replay` is the delivery, for a replay; NULL: it is not kept.
# `event_account_id` is the account that the event is about; NULL: unknown.
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
    sa.Column("replay", sa.Text),
    sa.Column("event_account_id", sa.String(32)),
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

# Events that did not reach a hook and are not kept, by the reason for that.
missed_events = sa.Table(
    "missed_events",
    metadata,
    sa.Column("hook_id", sa.String(64), primary_key=True),
    sa.Column("reason", sa.String(32), primary_key=True),
    sa.Column("number", sa.BigInteger, nullable=False),
)

# Limits of single accounts; NULL: the configured limit applies.
account_limits = sa.Table(
    "account_limits",
    metadata,
    sa.Column("account_id", sa.String(32), primary_key=True),
    sa.Column("attempt_failure_count", sa.Integer),
    sa.Column("attempt_failure_expiry_ms", sa.BigInteger),
)

# Values that all nodes on one storage share.
settings = sa.Table(
    "settings",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)

# Deliveries that could not be made at once. `status`: pending (sent at `next_attempt`), held (the hook is
# disabled), dead. `ordering` is the ordering key, empty if order does not matter; among equal keys,
# `sequence` is the order. The node that holds the lease sends the delivery; after `lease_until` any node
# may take it. `waiting_since` is the time of the last replay; NULL: never replayed, the delivery waits
# since `created`. `event_account_id` is the account that the event is about; NULL: unknown. `hook_source` is
# the `webhooks.source` of the node that stored it; NULL: unknown.
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
    sa.Column("event_account_id", sa.String(32)),
    sa.Column("hook_source", sa.String(16)),
    sa.Index(None, "status", "hook_id", "next_attempt"),
    sa.Index(None, "hook_id", "ordering", "sequence"),
    sa.Index(None, "account_id", "sequence"),
    sa.Index(None, "status", "changed"),
    sqlite_autoincrement=True,
)


def dump_json(
    value: Mapping[str, Any], *, allow_nan: bool = True, default: Callable[[Any], Any] | None = None
) -> str:
    """Return `value` as JSON for a text column; `allow_nan` and `default` are those of `json.dumps`."""
    # ASCII only: PostgreSQL's text accepts neither NUL nor lone surrogates.
    return json.dumps(value, separators=(",", ":"), allow_nan=allow_nan, default=default)
