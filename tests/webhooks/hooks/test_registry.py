from __future__ import annotations

import pytest
from attrs import evolve

from kazoo_bridge.webhooks.hooks.hook import Hook
from kazoo_bridge.webhooks.hooks.registry import HookRegistry
from tests.webhooks.hook_factory import ACCOUNT, make_hook

PARENT, TOP, SIBLING = "b" * 32, "c" * 32, "d" * 32


def make_registry(*hooks: Hook) -> HookRegistry:
    registry = HookRegistry()
    registry.replace_all(hooks)
    return registry


def matching_ids(registry: HookRegistry, event: str = "channel_create") -> list[str]:
    return sorted(hook.id for hook in registry.matching(event, ACCOUNT, (PARENT, TOP)))


def test_hooks_of_the_account_and_of_ancestors_that_include_subaccounts_match() -> None:
    hooks = make_registry(
        make_hook("own"),
        make_hook("own-all", hook="all"),
        make_hook("own-other", hook="channel_answer"),
        make_hook("parent", PARENT),
        make_hook("parent-sub", PARENT, include_subaccounts=True),
        make_hook("top-sub-all", TOP, include_subaccounts=True, hook="all"),
        make_hook("sibling", SIBLING, include_subaccounts=True),
    )
    assert matching_ids(hooks) == ["own", "own-all", "parent-sub", "top-sub-all"]


def test_a_disabled_hook_leaves_the_registry() -> None:
    hooks = make_registry(make_hook("h"))
    assert matching_ids(hooks) == ["h"]
    hooks.put(make_hook("h", enabled=False))
    assert matching_ids(hooks) == []
    assert len(hooks) == 0


def test_a_changed_hook_matches_its_new_event_only() -> None:
    hooks = make_registry(make_hook("h", include_subaccounts=True))
    hooks.put(make_hook("h", hook="channel_answer"))
    assert matching_ids(hooks) == []
    assert matching_ids(hooks, "channel_answer") == ["h"]
    hooks.remove("h")
    hooks.remove("h")
    assert matching_ids(hooks, "channel_answer") == []
    assert hooks.get("h") is None


def test_the_hooks_of_an_account_are_removed() -> None:
    hooks = make_registry(make_hook("a1"), make_hook("a2"), make_hook("p", PARENT, include_subaccounts=True))
    hooks.remove_account(ACCOUNT)
    assert matching_ids(hooks) == ["p"]
    assert len(hooks) == 1


@pytest.mark.parametrize(
    ("event", "found"),
    [
        ("channel_create", ["own", "all", "everything"]),
        ("notifications", ["all", "everything"]),
        ("object", ["all", "everything"]),
        ("channel_hold", ["everything"]),
        ("conference", ["everything"]),
        ("fax_status", ["everything"]),
        ("of_a_plugin", ["everything"]),
    ],
)
def test_all_are_the_events_of_kazoo_and_everything_is_every_event(event: str, found: list[str]) -> None:
    hooks = make_registry(
        make_hook("own"), make_hook("all", hook="all"), make_hook("everything", hook="everything")
    )
    assert [hook.id for hook in hooks.matching(event, ACCOUNT, ())] == found


def test_replacing_all_hooks_forgets_the_others() -> None:
    hooks = make_registry(make_hook("old"))
    hooks.replace_all([make_hook("new")])
    assert matching_ids(hooks) == ["new"]
    assert hooks.get("old") is None


def test_a_hook_that_failed_too_often_matches_but_is_not_enabled() -> None:
    suspended = evolve(make_hook("suspended"), enabled=False, suspended=True)
    failed = evolve(make_hook("failed"), enabled=False, failed=True)
    hooks = make_registry(make_hook("enabled"), suspended, failed, evolve(make_hook("off"), enabled=False))
    assert matching_ids(hooks) == ["enabled", "failed", "suspended"]
    assert (len(hooks), hooks.suspended) == (1, 1)
    assert (hooks.get("suspended"), hooks.find("suspended")) == (None, suspended)
    assert (hooks.get("off"), hooks.find("off")) == (None, None)
    hooks.put(evolve(suspended, enabled=True, suspended=False))
    assert hooks.failed == 1
    hooks.remove("failed")
    assert hooks.failed == 0
    assert (len(hooks), hooks.suspended, matching_ids(hooks)) == (2, 0, ["enabled", "suspended"])


def test_hooks_match_in_the_order_in_which_they_were_added_the_nearest_first() -> None:
    hooks = make_registry(
        make_hook("all", hook="all"),
        make_hook("top", TOP, include_subaccounts=True),
        make_hook("parent", PARENT, include_subaccounts=True),
        make_hook("b"),
        make_hook("a"),
    )
    hooks.put(make_hook("b"))
    matching = hooks.matching("channel_create", ACCOUNT, (PARENT, TOP))
    assert [hook.id for hook in matching] == ["a", "b", "parent", "top", "all"]
