"""Hooks for tests."""

from __future__ import annotations

from typing import Any

from kazoo_bridge.interfaces import HookType, StoredHook
from kazoo_bridge.webhooks.hooks.hook import Hook
from kazoo_bridge.webhooks.hooks.hook_catalogue import HookCatalogue
from kazoo_bridge.webhooks.hooks.hook_document import DocumentRules
from kazoo_bridge.webhooks.hooks.hook_headers import separate_headers

ACCOUNT = "a" * 32
CATALOGUE = HookCatalogue.from_types(
    [
        HookType("channel_create", "Channel Create", ""),
        HookType("channel_answer", "Channel Answer", ""),
        HookType(
            "object",
            "Object",
            "",
            modifiers={
                "type": {"type": "array", "items": ["user", "device"], "default": "all"},
                "action": {"type": "array", "items": ["doc_created", "doc_edited"], "default": "all"},
            },
        ),
    ]
)
RULES = DocumentRules.from_catalogue(CATALOGUE)


def stored_hook(hook_id: str = "h1", account_id: str = ACCOUNT, **document: Any) -> StoredHook:
    given = {"name": "n", "uri": "http://receiver.example/", "hook": "channel_create", **document}
    validated, headers = separate_headers(RULES.validate(given), {})
    return StoredHook(hook_id, account_id, validated, "1-x", 0, 0, headers=headers)


def make_hook(hook_id: str = "h1", account_id: str = ACCOUNT, **document: Any) -> Hook:
    return Hook.from_document(stored_hook(hook_id, account_id, **document), CATALOGUE)
