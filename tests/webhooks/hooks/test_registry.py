from __future__ import annotations

import pytest

from kazoo_bridge.interfaces import Occurrence
from kazoo_bridge.webhooks.hooks.registry import HookRegistry
from tests.webhooks.hook_factory import ACCOUNT, make_hook

PARENT, TOP, SIBLING = "b" * 32, "c" * 32, "d" * 32


def registry(*hooks: object) -> HookRegistry:
    made = HookRegistry()
    made.replace_all(hooks)  # type: ignore[arg-type]
    return made


def found(in_registry: HookRegistry, event: str = "channel_create") -> list[str]:
    return sorted(hook.id for hook in in_registry.matching(event, ACCOUNT, (PARENT, TOP)))


def test_own_hooks_and_those_of_ancestors_that_include_subaccounts() -> None:
    hooks = registry(
        make_hook("own"),
        make_hook("own-all", hook="all"),
        make_hook("own-other", hook="channel_answer"),
        make_hook("parent", PARENT),
        make_hook("parent-sub", PARENT, include_subaccounts=True),
        make_hook("top-sub-all", TOP, include_subaccounts=True, hook="all"),
        make_hook("sibling", SIBLING, include_subaccounts=True),
    )
    assert found(hooks) == ["own", "own-all", "parent-sub", "top-sub-all"]


def test_disabled_hooks_are_not_there() -> None:
    hooks = registry(make_hook("h"))
    assert found(hooks) == ["h"]
    hooks.put(make_hook("h", enabled=False))
    assert found(hooks) == []
    assert len(hooks) == 0


def test_a_changed_hook_leaves_nothing_behind() -> None:
    hooks = registry(make_hook("h", include_subaccounts=True))
    hooks.put(make_hook("h", hook="channel_answer"))
    assert found(hooks) == []
    assert found(hooks, "channel_answer") == ["h"]
    hooks.remove("h")
    hooks.remove("h")
    assert found(hooks, "channel_answer") == []
    assert not hooks._by_account
    assert not hooks._including_subaccounts


@pytest.mark.parametrize(
    ("document", "internal", "wanted"),
    [
        ({}, True, True),
        ({"include_internal_legs": False}, True, False),
        ({"include_internal_legs": False}, False, True),
        ({"modifiers": {"direction": "inbound"}}, False, True),
        ({"modifiers": {"direction": "outbound"}}, False, False),
        ({"modifiers": {"direction": ["outbound", "inbound"]}}, False, True),
        ({"modifiers": {"direction": ["outbound"]}}, False, False),
        ({"modifiers": {"direction": []}}, False, True),
        ({"modifiers": {"absent": "anything"}}, False, True),
        ({"modifiers": {"answered": True}}, False, True),
        ({"modifiers": {"answered": 1}}, False, False),
        ({"modifiers": {"answered": [1, 2]}}, False, False),
        ({"modifiers": {"answered": [1, True]}}, False, True),
        ({"hook": "object", "custom_data": {"type": "user", "action": "all"}}, False, True),
        ({"hook": "object", "custom_data": {"type": "device", "action": "all"}}, False, False),
        ({"hook": "object"}, False, True),
        ({"hook": "all", "custom_data": {"type": "device"}}, False, True),
    ],
)
def test_what_a_hook_wants(document: dict[str, object], internal: bool, wanted: bool) -> None:
    occurrence = Occurrence(
        "channel_create",
        ACCOUNT,
        {"direction": "inbound", "answered": True},
        {"type": "user", "action": "doc_edited"},
        internal_leg=internal,
    )
    assert make_hook(**document).matches(occurrence) is wanted
