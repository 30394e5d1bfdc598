from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from kazoo_bridge.schema_errors import (
    MAX_FIELDS,
    FieldErrors,
    add_errors,
    bounded,
    error_details,
    errors_to_text,
    field_error,
    to_kazoo_errors,
)

SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["name", "uri"],
    "maxProperties": 4,
    "properties": {
        "name": {"type": "string", "minLength": 2, "maxLength": 3},
        "verb": {"enum": ["get", "put"]},
        "count": {"type": "integer", "minimum": 1, "maximum": 5},
        "data": {
            "type": "object",
            "required": ["x"],
            "propertyNames": {"maxLength": 2},
            "additionalProperties": {"type": "array", "maxItems": 1, "items": {"type": ["string", "null"]}},
        },
        "code": {"pattern": "^[a-z]+$"},
    },
}


def errors_of(document: Any, **options: Any) -> FieldErrors:
    return to_kazoo_errors(Draft202012Validator(SCHEMA).iter_errors(document), **options)


def test_a_valid_document_has_no_errors() -> None:
    assert errors_of({"name": "ab", "uri": ""}) == {}


def test_every_missing_key_is_an_error_of_that_key() -> None:
    missing = {"required": {"message": "this field is required"}}
    assert errors_of({"data": {}}) == {"name": missing, "uri": missing, "data.x": missing}


@pytest.mark.parametrize(
    ("document", "field", "rule", "details"),
    [
        ({"name": 1}, "name", "type", ("expected a value of type string", "string", 1)),
        ({"name": "a"}, "name", "minLength", ("expected at least 2 characters", 2, "a")),
        ({"name": "abcd"}, "name", "maxLength", ("expected at most 3 characters", 3, "abcd")),
        ({"count": 0}, "count", "minimum", ("expected at least 1", 1, 0)),
        ({"count": 6}, "count", "maximum", ("expected at most 5", 5, 6)),
        ({"data": {"x": ["1", "2"]}}, "data.x", "maxItems", ("expected at most 1 items", 1, ["1", "2"])),
        (
            {"data": {"x": [1]}},
            "data.x.0",
            "type",
            ("expected a value of type ['string', 'null']", ["string", "null"], 1),
        ),
        (
            {"data": {"x": [], "long": []}},
            "data",
            "maxLength",
            ("keys: expected at most 2 characters", 2, "long"),
        ),
        ({"code": "A"}, "code", "pattern", ("not as expected", "^[a-z]+$", "A")),
    ],
)
def test_the_details_of_a_violated_rule(
    document: dict[str, Any], field: str, rule: str, details: tuple[str, Any, Any]
) -> None:
    message, target, cause = details
    expected = {field: {rule: {"message": message, "target": target, "cause": cause}}}
    assert errors_of({"name": "ab", "uri": "", **document}) == expected


def test_too_many_keys_are_an_error_of_the_object() -> None:
    document = {"name": "ab", "uri": "", "a": 1, "b": 2, "c": 3}
    message = "expected at most 4 keys"
    assert errors_of(document) == field_error("", "maxProperties", message, target=4, cause=document)


def test_an_enumeration_repeats_the_cause_as_value() -> None:
    assert errors_of({"name": "ab", "uri": "", "verb": "post"}) == {
        "verb": {
            "enum": {
                "message": "expected one of the values in target",
                "target": ["get", "put"],
                "cause": "post",
                "value": "post",
            }
        }
    }


def test_several_rules_and_fields_are_reported_together() -> None:
    errors = errors_of({"name": 1, "uri": "", "count": 0, "data": {"x": [1, 2]}})
    assert {field: list(rules) for field, rules in errors.items()} == {
        "name": ["type"],
        "count": ["minimum"],
        "data.x": ["maxItems"],
        "data.x.0": ["type"],
        "data.x.1": ["type"],
    }


def test_messages_can_be_added_and_overridden() -> None:
    messages = {"pattern": "expected letters", "minimum": "at least {target}, please"}
    errors = errors_of({"name": "ab", "uri": "", "code": "A", "count": 0}, messages=messages)
    assert errors["code"]["pattern"]["message"] == "expected letters"
    assert errors["count"]["minimum"]["message"] == "at least 1, please"


def test_causes_and_paths_are_fit_for_display() -> None:
    errors = errors_of({"name": "x\n" * 200, "uri": "", "data": {"x": [], "y\n": 1}})
    assert len(errors["name"]["maxLength"]["cause"]) < 700
    assert "\n" not in errors["name"]["maxLength"]["cause"]
    assert errors["data.y\\u000a"]["type"]["cause"] == 1


def test_the_display_of_causes_can_be_replaced() -> None:
    assert errors_of({"name": 1, "uri": ""}, display=repr)["name"]["type"]["cause"] == "1"


def test_details_without_target_and_cause() -> None:
    assert error_details("required") == {"message": "this field is required"}
    assert error_details("wrong_format", "expected x", cause=None) == {"message": "expected x", "cause": None}


def test_the_usual_message_of_a_rule() -> None:
    assert error_details("maximum", target=3)["message"] == "expected at most 3"


def test_errors_are_added_rule_by_rule() -> None:
    errors = field_error("a", "type", "old")
    add_errors(errors, field_error("a", "minimum", "more"))
    add_errors(errors, field_error("a", "type", "new"))
    add_errors(errors, field_error("b", "type", "other"))
    assert errors == {
        "a": {"type": {"message": "new"}, "minimum": {"message": "more"}},
        "b": {"type": {"message": "other"}},
    }


def test_no_more_errors_are_taken_than_are_reported() -> None:
    errors = Draft202012Validator({"additionalProperties": {"type": "string"}}).iter_errors(
        {str(number): number for number in range(10_000)}
    )
    assert len(to_kazoo_errors(errors)) == MAX_FIELDS
    assert len(list(errors)) == 10_000 - MAX_FIELDS - 1


def test_bounded_errors_repeat_little() -> None:
    details = {
        "message": "m" * 5000,
        "target": list(range(100)),
        "cause": "x" * 5000,
        "value": ["y" * 5000] * 50,
    }
    errors = bounded({f"{number}." + "k" * 5000: {"enum": details} for number in range(1000)})
    assert len(errors) == MAX_FIELDS
    assert max(map(len, errors)) < 250
    shown = errors["0." + "k" * 197 + "…"]["enum"]
    assert (shown["message"], shown["target"]) == ("m" * 999 + "…", list(range(100)))
    assert len(str(errors)) < 45_000
    assert bounded(errors) == errors


def test_errors_as_a_text() -> None:
    errors = errors_of({"name": "long name", "verb": "delete", "count": 9})
    assert errors_to_text(errors).split("; ") == [
        "uri: this field is required",
        'name: expected at most 3 characters, got "long name"',
        'verb: expected one of get, put, got "delete"',
        "count: expected at most 5, got 9",
    ]
    many = field_error("hook", "enum", target=[str(number) for number in range(11)], cause="x" * 500)
    text = errors_to_text(many)
    assert text.startswith('hook: expected one of 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, …, got "xxx')
    assert len(text) < 200
