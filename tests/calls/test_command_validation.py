from __future__ import annotations

import math
from typing import Any

import pytest

from kazoo_bridge.calls.command_schemas import COMMAND_SCHEMAS
from kazoo_bridge.calls.command_validation import (
    MAX_BYTES,
    MAX_CALL_ID,
    MAX_DEPTH,
    arguments_schema,
    is_valid_call_id,
    step_schema,
    validate_command,
    validate_flow,
)
from kazoo_bridge.interfaces import CommandRefused
from tests.calls.commands import MINIMAL_DATA, nested_flow


@pytest.mark.parametrize(
    ("call_id", "valid"),
    [
        ("c", True),
        ("c" * MAX_CALL_ID, True),
        ("c" * (MAX_CALL_ID + 1), False),
        ("." * (MAX_CALL_ID // 3), True),
        ("." * (MAX_CALL_ID // 3 + 1), False),
        ("", False),
        ("*", False),
        ("#", False),
    ],
)
def test_call_ids_that_fit_into_a_routing_key_are_valid(call_id: str, valid: bool) -> None:
    assert is_valid_call_id(call_id) is valid


def test_the_schema_of_a_command_requires_its_required_keys() -> None:
    schema = arguments_schema(COMMAND_SCHEMAS["transfer"])
    assert schema["required"] == ["target"]
    assert schema["properties"]["transfer-type"]["enum"] == ["attended", "blind"]


def test_a_step_requires_only_its_module_and_refers_to_itself() -> None:
    schema = step_schema("#/components/schemas/Step")
    assert schema["required"] == ["module"]
    assert schema["properties"]["children"]["additionalProperties"] == {"$ref": "#/components/schemas/Step"}
    assert validate_flow({"module": "transfer"}) == {"module": "transfer"}


def test_defaults_are_added_unless_either_spelling_is_given() -> None:
    assert validate_command("transfer", {"target": "1"})["transfer-type"] == "blind"
    for key in ("transfer-type", "transfer_type"):
        given = {"target": "1", key: "attended"}
        assert validate_command("transfer", given) == given


def _data_of_size(size: int) -> dict[str, Any]:
    return {"x": "y" * (size - len('{"x":""}'))}


def test_data_may_have_the_maximum_size() -> None:
    assert validate_command("hangup", _data_of_size(MAX_BYTES)) == _data_of_size(MAX_BYTES)
    with pytest.raises(CommandRefused) as refused:
        validate_command("hangup", _data_of_size(MAX_BYTES + 1))
    assert list(refused.value.errors["data"]) == ["maxLength"]


def _nested_data(depth: int) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for _ in range(depth - 1):
        data = {"x": data}
    return data


def test_data_may_have_the_maximum_depth() -> None:
    assert validate_command("hangup", _nested_data(MAX_DEPTH)) == _nested_data(MAX_DEPTH)
    with pytest.raises(CommandRefused) as refused:
        validate_command("hangup", _nested_data(MAX_DEPTH + 1))
    assert list(refused.value.errors["data"]) == ["maxDepth"]
    with pytest.raises(CommandRefused):
        validate_flow(nested_flow(MAX_DEPTH))


def test_values_that_json_cannot_hold_are_refused() -> None:
    with pytest.raises(CommandRefused) as refused:
        validate_command("hangup", {"x": object()})
    assert list(refused.value.errors["data"]) == ["type"]


INTEGERS = [
    (command, name, rules)
    for command, action in COMMAND_SCHEMAS.items()
    for name, rules in action.properties.items()
    if rules["type"] in ("integer", "number")
]


@pytest.mark.parametrize(("command", "name", "rules"), INTEGERS)
def test_every_number_of_a_command_is_sent_in_its_exact_type(
    command: str, name: str, rules: dict[str, Any]
) -> None:
    assert rules["type"] == "integer"
    for form in (float(rules["minimum"]), float(rules["maximum"]), rules["maximum"]):
        sent = validate_command(command, {**MINIMAL_DATA[command], name: form})[name]
        assert (type(sent), sent) == (int, form)
        step = {"module": command, "data": {name: form}}
        flow = validate_flow({"module": "tts", "data": {"text": "x"}, "children": {"_": step}})
        assert type(flow["children"]["_"]["data"][name]) is int


@pytest.mark.parametrize(("command", "name", "rules"), INTEGERS)
def test_every_number_of_a_command_that_does_not_fit_is_refused_by_name(
    command: str, name: str, rules: dict[str, Any]
) -> None:
    wrong = [
        (True, "type"),
        ("60", "type"),
        (rules["minimum"] + 0.5, "type"),
        (math.nan, "type"),
        (math.inf, "type"),
    ]
    for form, rule in [*wrong, (rules["minimum"] - 1.0, "minimum"), (rules["maximum"] + 1.0, "maximum")]:
        with pytest.raises(CommandRefused) as refused:
            validate_command(command, {**MINIMAL_DATA[command], name: form})
        assert {field: list(found) for field, found in refused.value.errors.items()} == {name: [rule]}
        with pytest.raises(CommandRefused) as refused:
            validate_flow({"module": command, "data": {name: form}})
        assert {field: list(found) for field, found in refused.value.errors.items()} == {
            f"data.{name}": [rule]
        }
    for form in (10**30, 1e300):
        with pytest.raises(CommandRefused):
            validate_command(command, {**MINIMAL_DATA[command], name: form})
