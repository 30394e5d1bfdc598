"""Finds mistakes in the modifiers of hook types: the node can use the rest of the category."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from kazoo_bridge.interfaces import HookType

#: The keys of a modifier.
_KEYS = ("type", "description", "items", "default")

#: The forms of ``items`` for each ``type``.
_ITEMS: Mapping[str, Any] = {"array": list | tuple, "object": Mapping}


def modifier_problems(hook: HookType) -> Iterator[str]:
    """Yield what is wrong with each of the hook's modifiers, as text that names hook, modifier and key."""
    for name, modifier in hook.modifiers.items():
        for problem in _problems(modifier):
            yield f"hook {hook.id!r}, modifier {name!r}: {problem}"


def _problems(modifier: Mapping[str, Any]) -> Iterator[str]:
    for key in modifier:
        if key not in _KEYS:
            near = get_close_matches(str(key), _KEYS, 1)
            advice = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(_KEYS)}"
            yield f"unknown key {key!r}; {advice}"
    if "items" not in modifier:
        yield "it has no 'items', so hooks can choose 'all' only"
    kind, items = modifier.get("type"), modifier.get("items", ())
    if kind is not None and kind not in _ITEMS:
        yield f"type: expected 'array' or 'object', got {kind!r}"
    elif kind is not None and "items" in modifier and not isinstance(items, _ITEMS[kind]):
        expected = "a list of values" if kind == "array" else "an object with a key for each value"
        yield f"items: expected {expected}, because type is {kind!r}, got {type(items).__name__}"
    default = modifier.get("default", "all")
    if default != "all" and default not in items:
        yield f"default: expected 'all' or one of its items, got {default!r}"
