"""Hooks for tests."""

from __future__ import annotations

from typing import Any

from kazoo_bridge.interfaces import StoredHook
from kazoo_bridge.webhooks.document import DocumentRules
from kazoo_bridge.webhooks.hook import Hook

ACCOUNT = "a" * 32
RULES = DocumentRules.for_hooks(["channel_create", "channel_answer", "object"])


def stored_hook(hook_id: str = "h1", account_id: str = ACCOUNT, **document: Any) -> StoredHook:
    given = {"name": "n", "uri": "http://receiver.example/", "hook": "channel_create", **document}
    return StoredHook(hook_id, account_id, RULES.complete(given), "1-x", 0, 0)


def make_hook(hook_id: str = "h1", account_id: str = ACCOUNT, **document: Any) -> Hook:
    return Hook.of(stored_hook(hook_id, account_id, **document))
