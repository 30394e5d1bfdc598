"""The columns of secrets, header values and suspensions, which the tables `hooks` and `hook_extras` share.

What this module returns is the same for both tables: `table` is one of them, `hook_id` its column of ids.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Select, Table, Update

from kazoo_bridge.interfaces import Secret, Suspension
from kazoo_bridge.storage.tables import deliveries, dump_json

#: The columns of a hook that has no secrets, and no header values. Most hooks are such.
NO_SECRETS, NO_HEADERS = "[]", "{}"

#: Suspended hooks that one read finds to be due.
MAX_DUE_PROBES = 50


def private_values(
    secrets: Sequence[Secret], headers: Mapping[str, str], suspension: Suspension | None
) -> dict[str, Any]:
    """Return the columns of what no client reads."""
    return {
        "secrets": json.dumps([[secret.value, secret.expires] for secret in secrets]),
        "headers": dump_json(headers),
        **suspension_values(suspension),
    }


def suspension_values(suspension: Suspension | None) -> dict[str, Any]:
    """Return the columns of a suspension; None: the hook is not suspended."""
    if suspension is None:
        return {"suspended_since": None, "next_probe": None, "probes": 0}
    return {
        "suspended_since": suspension.since,
        "next_probe": suspension.next_probe,
        "probes": suspension.probes,
    }


def load_secrets(column: str) -> tuple[Secret, ...]:
    """Return the secrets of a column."""
    return tuple(Secret(value, expires) for value, expires in json.loads(column))


def load_headers(column: str) -> dict[str, str]:
    """Return the header values of a column."""
    headers: dict[str, str] = json.loads(column)
    return headers


def load_suspension(
    suspended_since: float | None, next_probe: float | None, probes: int
) -> Suspension | None:
    """Return the suspension of the columns; None: the hook is not suspended."""
    if suspended_since is None or next_probe is None:
        return None
    return Suspension(suspended_since, next_probe, probes)


def select_due(table: Table, hook_id: ColumnElement[str], now: float) -> Select[Any]:
    """Return the query of suspended hooks whose probe is due at `now` (Unix seconds), with a held delivery.

    The hooks that wait longest come first, `MAX_DUE_PROBES` at most.
    """
    held = sa.exists().where(
        deliveries.c.hook_id == hook_id,
        deliveries.c.status == "held",
        deliveries.c.lease_until <= now,
    )
    due = sa.select(table).where(table.c.next_probe <= now, held)
    return due.order_by(table.c.next_probe).limit(MAX_DUE_PROBES)


def claim_probe(table: Table, hook: ColumnElement[bool], suspension: Suspension, next_probe: float) -> Update:
    """Return the update that counts a probe and postpones the next one to `next_probe` (Unix seconds).

    `hook` selects the row. It changes no row if another node has claimed the probe.
    """
    unclaimed = table.c.probes == suspension.probes
    return sa.update(table).where(hook, unclaimed).values(next_probe=next_probe, probes=suspension.probes + 1)


def return_probe(
    table: Table, hook: ColumnElement[bool], suspension: Suspension, next_probe: float
) -> Update:
    """Return the update that uncounts a probe that was claimed from the state `suspension`."""
    claimed = table.c.probes == suspension.probes + 1
    return sa.update(table).where(hook, claimed).values(next_probe=next_probe, probes=suspension.probes)
