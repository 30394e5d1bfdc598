"""From an occurrence and a hook that wants it to a delivery."""

from __future__ import annotations

import hashlib

from kazoo_bridge.interfaces import Delivery, Occurrence
from kazoo_bridge.webhooks.hooks.hook import Hook

#: Where in a payload stands what belongs together: the events of one call, of one conference, of one fax, of one object.
_ORDERING_KEYS = ("call_id", "conference_id", "job_id", "id")


def delivery_id(event_id: str, hook_id: str) -> str:
    """The same for every attempt at bringing this event to this hook, on every node."""
    digest = hashlib.sha256("\0".join((event_id, hook_id)).encode())
    return f"msg_{digest.hexdigest()[:32]}"


def make_delivery(hook: Hook, occurrence: Occurrence, event_id: str, now: float) -> Delivery:
    """The delivery of an occurrence to a hook. `now` is in Unix seconds."""
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
    found = next(
        (occurrence.payload[name] for name in _ORDERING_KEYS if occurrence.payload.get(name)), occurrence.hook
    )
    return hashlib.sha256(str(found).encode("utf-8", "replace")).hexdigest()[:32]
