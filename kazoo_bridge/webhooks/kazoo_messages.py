"""The messages about hooks that this service publishes: exchange, routing key and body of each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kazoo_bridge.interfaces import StoredHook
from kazoo_bridge.kazoo import TARGETED, build_envelope, encode_key_part

#: KAZOO's database of hooks, whose name stands in the routing keys.
WEBHOOKS_DB = "webhooks"

Message = tuple[str, str, dict[str, Any]]


def hook_changed(action: str, hook: StoredHook, node: str) -> Message:
    """KAZOO's word that a hook's document was created, edited or deleted. The document, which may hold secrets, stays at home."""
    body = build_envelope("configuration", action) | {
        "ID": hook.id,
        "Account-ID": hook.account_id,
        "Database": WEBHOOKS_DB,
        "Type": "webhook",
        "Rev": hook.revision,
        "Date-Created": hook.created,
        "Date-Modified": hook.modified,
        "Is-Soft-Deleted": action == "doc_deleted",
        "Node": node,
    }
    return "configuration", f"{action}.{WEBHOOKS_DB}.webhook.{encode_key_part(hook.id)}", body


def webhook_disabled(account_id: str, hook_id: str) -> Message:
    """The notification that a hook failed too often."""
    body = build_envelope("notification", "webhook_disabled") | {"Account-ID": account_id, "Hook-ID": hook_id}
    return "notifications", "notifications.webhook.disabled", body


def doc_type_updated(request: Mapping[str, Any]) -> Message | None:
    """The answer to a bulk command; None when the asker has left no address."""
    server_id, message_id = request.get("Server-ID"), request.get("Msg-ID")
    if not isinstance(server_id, str) or not server_id:
        return None
    answer = build_envelope(
        "configuration", "doc_type_updated", message_id=message_id if isinstance(message_id, str) else None
    )
    return TARGETED, server_id, answer | {"status": "success"}
