"""Rows of the table of deliveries, as deliveries and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Row

from kazoo_bridge.interfaces import UNTIL_ENABLED, Delivery
from kazoo_bridge.storage.tables import dump_json

#: The statuses of deliveries that are still to be made.
WAITING = ("pending", "held")

#: The values of a delivery that no node has claimed.
NO_LEASE: Mapping[str, Any] = {"lease_owner": None, "lease_until": 0.0}


def to_row(
    delivery: Delivery, next_attempt: float | None, reason: str, hook_source: str | None = None
) -> dict[str, Any]:
    """Return the values of a new row; the other parameters are those of `IDeliveryStore.enqueue`.

    `hook_source`: the ``webhooks.source`` that has the hook; None: unknown.
    """
    return {
        "id": delivery.id,
        "hook_id": delivery.hook_id,
        "account_id": delivery.account_id,
        "event": delivery.event,
        "event_id": delivery.event_id,
        "event_account_id": delivery.event_account_id,
        "ordering": delivery.ordering_key,
        "payload": dump_json(delivery.payload),
        "own_hook": None if delivery.inline_hook is None else dump_json(delivery.inline_hook),
        "status": _initial_status(next_attempt),
        "tries": delivery.attempts,
        "next_attempt": 0.0 if next_attempt in (None, UNTIL_ENABLED) else next_attempt,
        **NO_LEASE,
        "created": delivery.created,
        "changed": delivery.created,
        "reason": reason,
        "waiting_since": delivery.replayed_at,
        "hook_source": hook_source,
    }


def _initial_status(next_attempt: float | None) -> str:
    if next_attempt is None:
        return "dead"
    return "held" if next_attempt == UNTIL_ENABLED else "pending"


def for_display(row: Row[Any]) -> Delivery:
    """Return the delivery; without payload and inline hook if these cannot be read."""
    try:
        return from_row(row)
    except ValueError:
        return _make_delivery(row, {}, None)


def from_row(row: Row[Any]) -> Delivery:
    """Return the delivery. Raises ValueError if its JSON cannot be read."""
    try:
        payload = json.loads(row.payload)
        inline_hook = None if row.own_hook is None else json.loads(row.own_hook)
    except RecursionError:
        raise ValueError("the JSON is nested too deep") from None
    if not isinstance(payload, dict) or not isinstance(inline_hook, dict | None):
        raise ValueError("expected JSON objects")
    return _make_delivery(row, payload, inline_hook)


def _make_delivery(
    row: Row[Any], payload: Mapping[str, Any], inline_hook: Mapping[str, Any] | None
) -> Delivery:
    return Delivery(
        id=row.id,
        hook_id=row.hook_id,
        account_id=row.account_id,
        event=row.event,
        event_id=row.event_id,
        payload=payload,
        created=row.created,
        ordering_key=row.ordering,
        inline_hook=inline_hook,
        attempts=row.tries,
        replayed_at=row.waiting_since,
        event_account_id=row.event_account_id,
    )
