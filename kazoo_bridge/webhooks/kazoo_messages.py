"""Builds the messages about hooks that this service publishes."""

from __future__ import annotations

from typing import Any

from kazoo_bridge.interfaces import StoredHook
from kazoo_bridge.kazoo import TARGETED, Event, build_envelope, encode_key_part

#: KAZOO's database of hooks, which is a part of routing keys.
WEBHOOKS_DB = "webhooks"

Message = tuple[str, str, dict[str, Any]]


def hook_changed(action: str, hook: StoredHook, node: str) -> Message:
    """Return the message that a hook's document has changed, without the document, which may contain secrets.

    `action` is ``doc_created``, ``doc_edited`` or ``doc_deleted``; `node` is the name of the publishing node.
    The form is that of ``kapi_conf:publish_doc_update`` in ``2600hz/kazoo``.
    """
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
    """Return the notification that a hook was disabled because of failures.

    The form is that of ``kapi_notifications:webhook_disabled`` in ``2600hz/kazoo``.
    """
    body = build_envelope("notification", "webhook_disabled") | {"Account-ID": account_id, "Hook-ID": hook_id}
    return "notifications", "notifications.webhook.disabled", body


def webhook_recovered(account_id: str, hook_id: str) -> Message:
    """Return the notification that a hook is enabled again, because its receiver has recovered.

    KAZOO has no such notification; its form is that of `webhook_disabled`.
    """
    body = build_envelope("notification", "webhook_recovered") | {
        "Account-ID": account_id,
        "Hook-ID": hook_id,
    }
    return "notifications", "notifications.webhook.recovered", body


def doc_type_updated(request: Event) -> Message | None:
    """Return the reply to a ``doc_type_update`` command, `request`; None if it names no queue for it."""
    if request.server_id is None:
        return None
    reply = build_envelope("configuration", "doc_type_updated", message_id=request.message_id)
    return TARGETED, request.server_id, reply | {"status": "success"}
