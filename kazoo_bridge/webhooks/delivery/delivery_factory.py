"""Makes deliveries of an event, with ids that are the same when the broker redelivers the event."""

from __future__ import annotations

import hashlib

from kazoo_bridge.interfaces import Delivery, Occurrence
from kazoo_bridge.kazoo import Event
from kazoo_bridge.webhooks.hooks.hook import Hook

#: Payload keys that name an event's subject (a call, a conference, a fax, an object), in order of precedence.
_ORDERING_KEYS = ("call_id", "conference_id", "job_id", "id")


def event_id(event: Event) -> str:
    """Return an id of the event, made of its exchange, routing key and body: equal for equal messages."""
    digest = hashlib.sha256(
        b"\0".join((event.exchange.encode(), event.routing_key.encode("utf-8", "replace"), event.raw))
    )
    return f"msg_{digest.hexdigest()[:32]}"


def delivery_id(event_id: str, hook_id: str) -> str:
    """Return the id of the delivery of an event to a hook: equal for all attempts, on all nodes."""
    digest = hashlib.sha256("\0".join((event_id, hook_id)).encode())
    return f"msg_{digest.hexdigest()[:32]}"


def make_delivery(hook: Hook, occurrence: Occurrence, event_id: str, now: float) -> Delivery:
    """Return the delivery of an occurrence to a hook, created at `now` (Unix seconds)."""
    return Delivery(
        id=delivery_id(event_id, hook.id),
        hook_id=hook.id,
        account_id=hook.account_id,
        event=occurrence.hook,
        event_id=event_id,
        payload=occurrence.payload,
        created=now,
        ordering_key=_ordering_key(occurrence) if hook.ordered else "",
        inline_hook=occurrence.inline_hook,
    )


def _ordering_key(occurrence: Occurrence) -> str:
    payload = occurrence.payload
    subject = next((payload[key] for key in _ORDERING_KEYS if payload.get(key)), occurrence.hook)
    return hashlib.sha256(str(subject).encode("utf-8", "replace")).hexdigest()[:32]
