from __future__ import annotations

from typing import Any

import pytest

from kazoo_bridge.interfaces import HookType
from kazoo_bridge.plugins.discovery import built_in_categories
from kazoo_bridge.plugins.modifier_problems import modifier_problems


def problems(modifier: dict[str, Any]) -> list[str]:
    return list(modifier_problems(HookType("h", "", "", modifiers={"status": modifier})))


@pytest.mark.parametrize(
    ("modifier", "problem"),
    [
        ({"type": "array", "items": ["a"], "defualt": "all"}, "key 'defualt'; did you mean 'default'?"),
        ({"items": ["a"], "x": 1}, "unknown key 'x'; known are type, description, items, default"),
        ({"type": "array"}, "it has no 'items', so hooks can choose 'all' only"),
        ({"type": "list", "items": ["a"]}, "type: expected 'array' or 'object', got 'list'"),
        (
            {"type": "array", "items": {"a": {}}},
            "a list of values, because type is 'array', got dict",
        ),
        ({"type": "object", "items": ["a"]}, "expected an object with a key for each value"),
        ({"items": ["a"], "default": "b"}, "default: expected 'all' or one of its items, got 'b'"),
    ],
)
def test_a_mistake(modifier: dict[str, Any], problem: str) -> None:
    (found,) = problems(modifier)
    assert found.startswith("hook 'h', modifier 'status': ")
    assert problem in found


def test_a_mistyped_key_is_found_twice() -> None:
    mistyped, missing = problems({"type": "array", "itmes": ["a"]})
    assert "unknown key 'itmes'; did you mean 'items'?" in mistyped
    assert "no 'items'" in missing


def test_the_modifiers_of_the_built_in_categories_have_no_mistake() -> None:
    hooks = [hook for category in built_in_categories() for hook in category.hooks if hook.modifiers]
    assert len(hooks) >= 4
    assert [problem for hook in hooks for problem in modifier_problems(hook)] == []
