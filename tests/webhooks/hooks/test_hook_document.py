from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kazoo_bridge.schema_errors import MAX_FIELDS
from kazoo_bridge.webhooks.hooks.hook_document import (
    InvalidDocument,
    coerce_document,
    document_schema,
    is_coerced,
    uri_problem,
)
from tests.webhooks.hook_factory import RULES

GOOD: dict[str, Any] = {"name": "n", "uri": "https://h.example/x?y=z", "hook": "channel_create"}


def errors_of(**document: Any) -> Mapping[str, Any]:
    with pytest.raises(InvalidDocument) as caught:
        RULES.validate({**GOOD, **document})
    return caught.value.errors


def test_defaults_are_filled_in_and_private_keys_dropped() -> None:
    assert RULES.validate({**GOOD, "_id": "x", "pvt_account_id": "y", "id": "z", "own": 1}) == {
        **GOOD,
        "own": 1,
        "http_verb": "post",
        "format": "form-data",
        "enabled": True,
        "retries": 2,
        "include_subaccounts": False,
        "include_internal_legs": True,
    }


def test_text_becomes_the_number_or_boolean_that_it_stands_for() -> None:
    kept = RULES.validate(
        {
            **GOOD,
            "retries": "3",
            "enabled": "false",
            "include_subaccounts": "true",
            "rate_limit": "0.5",
            "group": "1",
        }
    )
    assert [kept[name] for name in ("retries", "enabled", "include_subaccounts", "rate_limit", "group")] == [
        3,
        False,
        True,
        0.5,
        "1",
    ]


def test_a_token_in_a_document_is_dropped() -> None:
    assert "auth_token" not in RULES.validate({**GOOD, "auth_token": "t"})


def test_all_missing_keys_are_reported() -> None:
    with pytest.raises(InvalidDocument) as caught:
        RULES.validate({})
    assert {field: list(rules) for field, rules in caught.value.errors.items()} == {
        "name": ["required"],
        "uri": ["required"],
        "hook": ["required"],
    }


@pytest.mark.parametrize(
    ("document", "field", "rule"),
    [
        ({"hook": "channel_party"}, "hook", "enum"),
        ({"http_verb": "delete"}, "http_verb", "enum"),
        ({"http_verb": 1}, "http_verb", "type"),
        ({"format": "xml"}, "format", "enum"),
        ({"retries": 5}, "retries", "maximum"),
        ({"retries": -1}, "retries", "minimum"),
        ({"retries": "two"}, "retries", "type"),
        ({"retries": "2.5"}, "retries", "type"),
        ({"retries": "5"}, "retries", "maximum"),
        ({"retries": True}, "retries", "type"),
        ({"rate_limit": "1e3"}, "rate_limit", "type"),
        ({"enabled": "yes"}, "enabled", "type"),
        ({"enabled": 1}, "enabled", "type"),
        ({"name": ""}, "name", "minLength"),
        ({"name": "n" * 257}, "name", "maxLength"),
        ({"custom_data": {"a": 1}}, "custom_data.a", "type"),
        ({"custom_data": "text"}, "custom_data", "type"),
        ({"custom_data": {"": "x"}}, "custom_data", "minLength"),
        ({"custom_data": {"k" * 129: "x"}}, "custom_data", "maxLength"),
        ({"custom_data": {"a": "v" * 4097}}, "custom_data.a", "maxLength"),
        ({"custom_data": {f"k{number}": "" for number in range(101)}}, "custom_data", "maxProperties"),
        ({"group": "g" * 257}, "group", "maxLength"),
        ({"uri": "http://h/" + "x" * 2040}, "uri", "maxLength"),
        ({"modifiers": []}, "modifiers", "type"),
        ({"modifiers": {"a": "x" * 16_400}}, "modifiers", "maxLength"),
        ({"modifiers": {"a": "ü" * 8_200}}, "modifiers", "maxLength"),
        ({"own": "x" * 65_600}, "data", "maxLength"),
        ({"x" * 65_600: 1}, "data", "maxLength"),
        ({"uri": "ftp://h/"}, "uri", "wrong_format"),
    ],
)
def test_one_mistake(document: dict[str, Any], field: str, rule: str) -> None:
    errors = errors_of(**document)
    assert list(errors) == [field]
    assert rule in errors[field]
    assert errors[field][rule]["message"]


def test_values_at_the_limits_are_accepted() -> None:
    document = {
        **GOOD,
        "name": "n" * 256,
        "uri": "http://h/" + "x" * 2039,
        "custom_data": {f"{number:0128d}": "v" * 300 for number in range(100)},
        "modifiers": {"a": "x" * 16_300},
    }
    assert RULES.validate(document)["custom_data"] == document["custom_data"]
    assert RULES.validate({**GOOD, "custom_data": {"a": "v" * 4096}, "name": "Zoë 🎧 \u2028\u00a0"})


def test_the_size_of_modifiers_is_that_of_their_json() -> None:
    largest = {"a": "x" * (16 * 1024 - len('{"a":""}'))}
    assert RULES.validate({**GOOD, "modifiers": largest})["modifiers"] == largest
    errors = errors_of(modifiers={"a": largest["a"] + "x"})
    assert errors["modifiers"]["maxLength"]["cause"] == 16 * 1024 + 1


def test_the_errors_of_a_large_document_are_small() -> None:
    large = errors_of(custom_data={str(number): number for number in range(100_000)})
    assert list(large) == ["data", "custom_data"]
    for document in (
        {"custom_data": {f"k{number}": "v" * 100 for number in range(500)}},
        {"name": "n" * 60_000},
        {"name": ["n"] * 10_000},
    ):
        assert len(json.dumps(errors_of(**document))) < 6000


@pytest.mark.parametrize("character", ["\0", "\n", "\r", "\t", "\x1b", "\x7f", "\x85", "\udcff"])
@pytest.mark.parametrize(
    ("field", "document"),
    [
        ("name", {"name": "a{}b"}),
        ("uri", {"uri": "http://h/{}"}),
        ("group", {"group": "a{}"}),
        ("custom_data.k", {"custom_data": {"k": "{}b"}}),
        ("custom_data.k{}", {"custom_data": {"k{}": "v"}}),
        ("modifiers.k.1", {"modifiers": {"k": ["ok", "{}"]}}),
        ("modifiers.{}", {"modifiers": {"{}": "v"}}),
        ("own.inner", {"own": {"inner": "{}"}}),
        ("{}own", {"{}own": 1}),
    ],
)
def test_control_characters_and_lone_surrogates_are_refused_everywhere(
    field: str, document: dict[str, Any], character: str
) -> None:
    def filled(value: Any) -> Any:
        if isinstance(value, str):
            return value.replace("{}", character)
        if isinstance(value, dict):
            return {filled(name): filled(inner) for name, inner in value.items()}
        return [filled(inner) for inner in value] if isinstance(value, list) else value

    errors = errors_of(**filled(document))
    escaped = f"\\u{ord(character):04x}"
    assert list(errors) == [field.replace("{}", escaped)]
    details = errors[field.replace("{}", escaped)]["wrong_format"]
    assert details["message"].startswith(
        "expected text without control characters" if field != "uri" else "expected "
    )
    assert escaped in details["cause"]
    json.dumps(errors).encode("ascii")
    assert character not in str(list(errors.items()))


def test_credentials_are_not_repeated() -> None:
    for uri in ("http://u:hunter2@h/\n", "http://u:hunter2@h/" + "x" * 3000, "http://u:hunter2@h:0/"):
        assert "hunter2" not in json.dumps(errors_of(uri=uri))


@pytest.mark.parametrize(
    "uri", ["/relative", "http://", "https:///path", "mailto:a@b", "http://h:0/", "http://h:99999/",
    "http://h/a b", "http://h/\r\nX: y", "http://ö/", "http:\\\\h"]
)  # fmt: skip
def test_uris_that_cannot_be_requested(uri: str) -> None:
    assert uri_problem(uri)


@pytest.mark.parametrize(
    "uri", ["http://h", "HTTPS://h/", "http://u:p@h:8080/p?q#f", "http://[2001:db8::1]/", "http://10.0.0.1/"]
)
def test_uris_that_can_be_requested(uri: str) -> None:
    assert uri_problem(uri) is None


# -- numbers

PROPERTIES = document_schema(["channel_create"])["properties"]
TYPES = ("integer", "number", "boolean")
TYPED = [name for name, rules in PROPERTIES.items() if rules["type"] in TYPES]
NUMERIC = [name for name in TYPED if PROPERTIES[name]["type"] != "boolean"]
BOOLEAN = [name for name in TYPED if name not in NUMERIC]
NOT_NUMBERS: list[Any] = [True, False, None, "two", "", [2], {}, math.nan, 10**400]


def test_the_ranges_of_numbers() -> None:
    ranges = {name: (PROPERTIES[name]["minimum"], PROPERTIES[name]["maximum"]) for name in NUMERIC}
    assert ranges == {
        "retries": (0, 4),
        "rate_limit": (0.01, 1000),
        "timeout_ms": (100, 30_000),
        "max_age_s": (1, 604_800),
    }


def test_the_schema_has_numbers() -> None:
    assert {"retries", "rate_limit"} <= set(NUMERIC)


@pytest.mark.parametrize("name", NUMERIC)
def test_every_accepted_form_becomes_the_exact_type(name: str) -> None:
    is_integer = PROPERTIES[name]["type"] == "integer"
    number = max(2, PROPERTIES[name]["minimum"])
    for form in (number, float(number), str(number)):
        value = RULES.validate({**GOOD, name: form})[name]
        # A client that writes 2 as a number reads back 2, not 2.0.
        expected = float if isinstance(form, float) and not is_integer else int
        assert (type(value), value) == (expected, number)
    for limit in ("minimum", "maximum"):
        value = RULES.validate({**GOOD, name: float(PROPERTIES[name][limit])})[name]
        assert (type(value), value) == (int if is_integer else float, PROPERTIES[name][limit])


@pytest.mark.parametrize("name", NUMERIC)
def test_every_other_form_is_refused_with_field_and_rule(name: str) -> None:
    fraction = PROPERTIES[name]["minimum"] + 0.5
    for form in [*NOT_NUMBERS, math.inf, *([fraction] if PROPERTIES[name]["type"] == "integer" else [])]:
        with pytest.raises(InvalidDocument) as refused:
            RULES.validate({**GOOD, name: form})
        assert {field: list(rules) for field, rules in refused.value.errors.items()} == {name: ["type"]}, form
    for form, rule in (
        (PROPERTIES[name]["minimum"] - 1.0, "minimum"),
        (PROPERTIES[name]["maximum"] + 1.0, "maximum"),
    ):
        with pytest.raises(InvalidDocument) as refused:
            RULES.validate({**GOOD, name: form})
        assert {field: list(rules) for field, rules in refused.value.errors.items()} == {name: [rule]}


@pytest.mark.parametrize("name", BOOLEAN)
def test_a_number_is_no_boolean(name: str) -> None:
    for form in (0, 1, 1.0, "1"):
        with pytest.raises(InvalidDocument) as refused:
            RULES.validate({**GOOD, name: form})
        assert list(refused.value.errors[name]) == ["type"]


# -- coerce_document


def test_numbers_are_coerced_limited_or_replaced_by_the_default() -> None:
    assert coerce_document({"retries": 3.0, "rate_limit": "2"}) == {"retries": 3, "rate_limit": 2.0}
    assert coerce_document({"retries": 99, "rate_limit": 0.0}) == {"retries": 4, "rate_limit": 0.01}
    assert coerce_document({"retries": "x", "rate_limit": "x", "own": "x"}) == {"retries": 2, "own": "x"}


def test_booleans_are_coerced_from_text_only() -> None:
    assert coerce_document({"enabled": "false", "ordered": 1}) == {"enabled": False, "ordered": 1}


def test_missing_keys_stay_missing() -> None:
    assert coerce_document({"uri": "x"}) == {"uri": "x"}


def test_the_forbidden_texts_of_one_document_that_are_errors_are_bounded() -> None:
    errors = errors_of(**{f"k{number}": "\n" for number in range(MAX_FIELDS + 1)})
    assert len(errors) == MAX_FIELDS


_VALUES: st.SearchStrategy[Any] = st.sampled_from(
    [
        True,
        False,
        None,
        0,
        1,
        2,
        4,
        5,
        -1,
        10**20,
        0.01,
        1.0,
        2.5,
        1000.0,
        1e9,
        math.nan,
        "2",
        "true",
        "x",
        [],
        {},
    ]
)


@given(st.dictionaries(st.sampled_from([*PROPERTIES, "other"]), _VALUES))
def test_a_document_that_is_coerced_does_not_change(document: dict[str, Any]) -> None:
    if is_coerced(document):
        assert repr(coerce_document(document)) == repr(document)


def test_usual_documents_need_not_be_coerced() -> None:
    assert is_coerced(RULES.validate({**GOOD, "rate_limit": 1.5, "timeout_ms": 200, "ordered": True}))
    assert not is_coerced({"retries": "2"})
