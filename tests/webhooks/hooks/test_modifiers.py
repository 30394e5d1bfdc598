from __future__ import annotations

from typing import Any

import pytest

from kazoo_bridge.webhooks.hooks.modifiers import (
    MAX_CHOICES,
    MAX_OPERATORS,
    MAX_PREFIX_LENGTH,
    PayloadFilter,
    modifier_errors,
)


def accepts(modifier: Any, **payload: Any) -> bool:
    assert modifier_errors({"k": modifier}) == {}
    return PayloadFilter.from_modifiers({"k": modifier}).accepts(payload)


@pytest.mark.parametrize(
    ("modifier", "accepted", "refused"),
    [
        ("a", ["a"], ["b", "A", None, 1, ["a"]]),
        (1, [1, 1.0], [True, "1", 2]),
        (True, [True], [1, "true", False]),
        (None, [None], ["", False]),
        (["a", 1, {"x": 1}], ["a", 1, {"x": 1}], ["b", True, {"x": 2}]),
        ([], ["a", None, {}], []),
        ({"x": 1}, [{"x": 1}], [{"x": 2}, {}]),
        ({}, [{}], [{"x": 1}, "a"]),
    ],
)
def test_plain_values_are_compared(modifier: Any, accepted: list[Any], refused: list[Any]) -> None:
    assert [value for value in accepted + refused if accepts(modifier, k=value)] == accepted
    assert accepts(modifier, other="a")


@pytest.mark.parametrize(
    ("modifier", "accepted", "refused"),
    [
        ({"$in": ["a", 2, None]}, ["a", 2, None], ["b", True, ["a"]]),
        ({"$exists": True}, ["a", "", 0, False], [None]),
        ({"$exists": "false"}, [None], ["a", "", False]),
        ({"$prefix": "+49"}, ["+49", "+4930"], ["+4", "0049", 49, None, ["+49"]]),
        ({"$gte": 5}, [5, 5.5, "5", "10"], [4.9, "4", "five", "", True, None, float("nan")]),
        ({"$lte": "2.5"}, [2.5, -1, "2"], [2.6, "3", False, {}]),
        ({"$gte": 1, "$lte": 3}, [1, 2, 3], [0, 4]),
        ({"$not": "a"}, ["b", 1, None], ["a"]),
        ({"$not": ["a", "b"]}, ["c"], ["a", "b"]),
        ({"$not": {"$prefix": "+49"}}, ["+43", 49], ["+49", "+4930"]),
        ({"$not": {"$gte": 1, "$lte": 3}}, [0, 4], [1, 3]),
        ({"$not": {"$not": {"$in": ["a"]}}}, ["a"], ["b"]),
        ({"$prefix": "a", "$not": {"$in": ["ab"]}}, ["a", "ac"], ["ab", "b"]),
    ],
)
def test_operators(modifier: Any, accepted: list[Any], refused: list[Any]) -> None:
    assert [value for value in accepted + refused if accepts(modifier, k=value)] == accepted


@pytest.mark.parametrize(
    ("modifier", "fires"),
    [
        ({"$in": ["a"]}, True),
        ({"$prefix": "a"}, True),
        ({"$gte": 1}, True),
        ({"$not": "a"}, True),
        ({"$not": {"$in": ["a"]}}, True),
        ({"$exists": True}, False),
        ({"$exists": False}, True),
        ({"$not": {"$exists": True}}, True),
        ({"$not": {"$exists": False}}, False),
        ({"$exists": True, "$prefix": "a"}, False),
        ({"$exists": False, "$prefix": "a"}, True),
        ({"$not": {"$exists": True, "$prefix": "a"}}, True),
    ],
)
def test_only_exists_looks_at_a_key_that_the_payload_lacks(modifier: Any, fires: bool) -> None:
    assert accepts(modifier, other="a") is fires


def test_every_modifier_must_fit() -> None:
    modifiers = {"direction": "inbound", "number": {"$prefix": "+49"}}
    compiled = PayloadFilter.from_modifiers(modifiers)
    assert compiled.accepts({"direction": "inbound", "number": "+4930"})
    assert not compiled.accepts({"direction": "outbound", "number": "+4930"})
    assert not compiled.accepts({"direction": "inbound", "number": "+4330"})


@pytest.mark.parametrize(
    ("modifier", "field", "rule"),
    [
        ({"$regex": "a"}, "modifiers.k.$regex", "enum"),
        ({"$in": ["a"], "b": 1}, "modifiers.k.b", "enum"),
        ({"$in": "a"}, "modifiers.k.$in", "type"),
        ({"$in": []}, "modifiers.k.$in", "minItems"),
        ({"$in": list(range(MAX_CHOICES + 1))}, "modifiers.k.$in", "maxItems"),
        ({"$exists": 1}, "modifiers.k.$exists", "type"),
        ({"$prefix": 49}, "modifiers.k.$prefix", "type"),
        ({"$prefix": ""}, "modifiers.k.$prefix", "minLength"),
        ({"$prefix": "a" * (MAX_PREFIX_LENGTH + 1)}, "modifiers.k.$prefix", "maxLength"),
        ({"$gte": "five"}, "modifiers.k.$gte", "type"),
        ({"$lte": True}, "modifiers.k.$lte", "type"),
        ({"$lte": float("inf")}, "modifiers.k.$lte", "type"),
        ({"$not": []}, "modifiers.k.$not", "minItems"),
        ({"$not": {"$regex": "a"}}, "modifiers.k.$not.$regex", "enum"),
        ({"$not": {"$not": {"$not": {"$not": "a"}}}}, "modifiers.k.$not.$not.$not.$not", "wrong_format"),
        (["a", {"$prefix": "b"}], "modifiers.k.1", "type"),
    ],
)
def test_an_invalid_operator_is_named(modifier: Any, field: str, rule: str) -> None:
    assert {field: list(rules) for field, rules in modifier_errors({"k": modifier}).items()} == {
        field: [rule]
    }


def test_the_number_of_operators_is_bounded() -> None:
    full = {f"k{number}": {"$exists": True} for number in range(MAX_OPERATORS)}
    assert modifier_errors(full) == {}
    assert list(modifier_errors({**full, "one": {"$exists": True}})) == ["modifiers"]


def test_a_stored_object_that_is_no_operator_stays_a_plain_value() -> None:
    # Earlier releases have accepted it.
    compiled = PayloadFilter.from_modifiers({"k": {"$regex": "a"}})
    assert compiled.accepts({"k": {"$regex": "a"}})
    assert not compiled.accepts({"k": "a"})
