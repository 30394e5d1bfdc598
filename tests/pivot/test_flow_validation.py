from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kazoo_bridge.pivot.flow_validation import (
    FLOW_MODULES,
    MAX_FLOW_BYTES,
    MAX_FLOW_DEPTH,
    MAX_STEPS,
    validate_flow,
    validate_twiml,
)
from kazoo_bridge.schema_errors import MAX_FIELDS


def chain(length: int) -> dict[str, Any]:
    flow: dict[str, Any] = {"module": "answer"}
    for _ in range(length - 1):
        flow = {"module": "answer", "children": {"_": flow}}
    return flow


def test_a_flow_of_kazoo() -> None:
    flow = {
        "module": "menu",
        "data": {"id": "m1"},
        "children": {"1": {"module": "user", "data": {"id": "u1"}}, "_": {"module": "hangup"}},
    }
    assert validate_flow(flow) == {}
    assert validate_flow(chain(MAX_FLOW_DEPTH)) == {}
    assert all(
        validate_flow({"module": module, "data": dict.fromkeys(needed, "x")}) == {}
        for module, needed in FLOW_MODULES.items()
    )


@pytest.mark.parametrize(
    ("flow", "field", "rule"),
    [
        (None, "flow", "type"),
        ([], "flow", "type"),
        ({}, "flow.module", "required"),
        ({"module": 1}, "flow.module", "type"),
        ({"module": "nonsense"}, "flow.module", "enum"),
        ({"module": "hangup", "data": []}, "flow.data", "type"),
        ({"module": "hangup", "children": []}, "flow.children", "type"),
        ({"module": "hangup", "children": {"_": 1}}, "flow.children._", "type"),
        ({"module": "tts"}, "flow.data.text", "required"),
        ({"module": "user", "data": {"id": ""}}, "flow.data.id", "required"),
        (chain(MAX_FLOW_DEPTH + 1), "flow", "maxDepth"),
        (chain(200), "flow", "maxDepth"),
        ({"module": "play", "data": {"id": "x" * MAX_FLOW_BYTES}}, "flow", "maxLength"),
        ({"module": "hangup", "data": {"x": {1}}}, "flow", "type"),
        (
            {"module": "menu", "data": {"id": "m"}, "children": {str(n): chain(1) for n in range(MAX_STEPS)}},
            "flow",
            "maxItems",
        ),
    ],
)
def test_what_is_wrong(flow: Any, field: str, rule: str) -> None:
    errors = validate_flow(flow)
    assert list(errors) == [field]
    assert list(errors[field]) == [rule]


def test_errors_are_bounded_and_name_the_step() -> None:
    children = {str(number): {"module": "x"} for number in range(50)}
    errors = validate_flow({"module": "menu", "data": {"id": "m"}, "children": children}, field="fallback")
    assert len(errors) == MAX_FIELDS
    assert "fallback.children.0.module" in errors


def test_own_modules() -> None:
    assert validate_flow({"module": "our_queue"}, ("our_queue",)) == {}


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["module", "data", "children", "x"]), inner, max_size=3)
        ),
        max_leaves=20,
    )
)
def test_any_json_is_valid_or_has_errors(flow: Any) -> None:
    if validate_flow(flow) == {}:
        assert flow["module"] in FLOW_MODULES


@pytest.mark.parametrize(
    "twiml",
    [
        1,
        "",
        "no xml",
        "<Response>",
        "<Say/>",
        "<Response/><Response/>",
        '<!DOCTYPE r [<!ENTITY a "b">]><Response>&a;</Response>',
        f"<Response>{'x' * MAX_FLOW_BYTES}</Response>",
    ],
)
def test_twiml_that_is_refused(twiml: Any) -> None:
    assert list(validate_twiml(twiml)) == ["twiml"]


def test_twiml() -> None:
    assert validate_twiml("<?xml version='1.0'?><Response><Say>Grüß Gott</Say></Response>") == {}
