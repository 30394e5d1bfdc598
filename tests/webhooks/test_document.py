from __future__ import annotations

from typing import Any

import pytest

from kazoo_bridge.webhooks.document import InvalidDocument, uri_problem
from tests.webhooks.hook_factory import RULES

GOOD = {"name": "n", "uri": "https://h.example/x?y=z", "hook": "channel_create"}


def errors_of(**document: Any) -> dict[str, Any]:
    with pytest.raises(InvalidDocument) as caught:
        RULES.complete({**GOOD, **document})
    return caught.value.errors


def test_defaults_are_filled_in_and_private_keys_dropped() -> None:
    assert RULES.complete({**GOOD, "_id": "x", "pvt_account_id": "y", "id": "z", "own": 1}) == {
        **GOOD,
        "own": 1,
        "http_verb": "post",
        "format": "form-data",
        "enabled": True,
        "retries": 2,
        "include_subaccounts": False,
        "include_internal_legs": True,
    }


def test_everything_missing_is_told_at_once() -> None:
    with pytest.raises(InvalidDocument) as caught:
        RULES.complete({})
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
        ({"retries": "2"}, "retries", "type"),
        ({"enabled": "yes"}, "enabled", "type"),
        ({"name": ""}, "name", "minLength"),
        ({"name": "n" * 257}, "name", "maxLength"),
        ({"custom_data": {"a": 1}}, "custom_data.a", "type"),
        ({"custom_data": "text"}, "custom_data", "type"),
        ({"modifiers": []}, "modifiers", "type"),
        ({"uri": "ftp://h/"}, "uri", "wrong_format"),
    ],
)
def test_one_mistake(document: dict[str, Any], field: str, rule: str) -> None:
    errors = errors_of(**document)
    assert list(errors) == [field]
    assert rule in errors[field]
    assert errors[field][rule]["message"]


@pytest.mark.parametrize(
    "uri", ["/relative", "http://", "https:///path", "mailto:a@b", "http://h:0/", "http://h:99999/", "http://h/a b",
    "http://h/\r\nX: y", "http://ö/", "http:\\\\h"]
)  # fmt: skip
def test_bad_uris(uri: str) -> None:
    assert uri_problem(uri)


@pytest.mark.parametrize("uri", ["http://h", "HTTPS://h/", "http://u:p@h:8080/p?q#f", "http://[2001:db8::1]/", "http://10.0.0.1/"])
def test_good_uris(uri: str) -> None:
    assert uri_problem(uri) is None
