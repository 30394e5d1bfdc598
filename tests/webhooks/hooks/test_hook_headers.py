from __future__ import annotations

from typing import Any

import pytest

from kazoo_bridge.webhooks.hooks.hook_document import InvalidDocument
from kazoo_bridge.webhooks.hooks.hook_headers import (
    MASK,
    MAX_HEADER_VALUE_LENGTH,
    MAX_HEADERS,
    header_errors,
    separate_headers,
)
from tests.webhooks.hook_factory import RULES, stored_hook

GOOD = {"name": "n", "uri": "https://h.example/", "hook": "channel_create"}


def test_values_leave_the_document() -> None:
    stored = stored_hook(headers={"Authorization": "Bearer hunter2", "X-Tenant": "7"})
    assert stored.document["headers"] == {"authorization": MASK, "x-tenant": MASK}
    assert stored.headers == {"authorization": "Bearer hunter2", "x-tenant": "7"}
    assert "hunter2" not in repr(stored)


def test_a_mask_keeps_the_stored_value() -> None:
    current = {"a": "one", "b": "two"}
    document, values = separate_headers({"headers": {"A": MASK, "c": "three"}}, current)
    assert (document, values) == ({"headers": {"a": MASK, "c": MASK}}, {"a": "one", "c": "three"})
    assert separate_headers({}, current) == ({}, {})
    assert separate_headers({"headers": {}}, current) == ({}, {})


def test_a_mask_without_a_stored_value_is_refused() -> None:
    with pytest.raises(InvalidDocument) as refused:
        separate_headers({"headers": {"X-A": MASK}}, {"x-b": "1"})
    assert list(refused.value.errors) == ["headers.x-a"]


@pytest.mark.parametrize("name", ["Authorization", "X-Api-Key", "Cookie", "User-Agent", "a!#$%&'*+.^_`|~-0"])
def test_a_header_of_the_owner(name: str) -> None:
    assert header_errors({name: "a b\tc".replace("\t", "~")}) == {}


@pytest.mark.parametrize(
    "name",
    [
        "",
        "X-Hook-ID",
        "x-account-id",
        "Webhook-Signature",
        "webhook-anything",
        "Host",
        "Content-Length",
        "content-type",
        "Content-Encoding",
        "Transfer-Encoding",
        "Connection",
        "Keep-Alive",
        "TE",
        "Trailer",
        "Upgrade",
        "Expect",
        "Proxy-Authorization",
        "Proxy-Connection",
        "Accept-Encoding",
        "X A",
        "X:A",
        "X\r\nHost",
        "Ünicode",
        "x" * 65,
    ],
)
def test_a_header_that_is_not_the_owners(name: str) -> None:
    (rules,) = header_errors({name: "hunter2"}).values()
    assert list(rules) == ["wrong_format"]
    assert "hunter2" not in str(rules)


@pytest.mark.parametrize(
    "value",
    [
        "",
        " a",
        "a ",
        "hunter2\r\nHost: x",
        "hunter2\n",
        "hunter2\0",
        "a\tb",
        "hünter2",
        "\ud800",
        "x" * (MAX_HEADER_VALUE_LENGTH + 1),
        7,
        True,
        None,
        ["hunter2"],
        {"a": "hunter2"},
    ],
)
def test_a_value_that_is_refused_and_not_repeated(value: Any) -> None:
    with pytest.raises(InvalidDocument) as refused:
        RULES.validate({**GOOD, "headers": {"X-A": value}})
    assert list(refused.value.errors) == ["headers.X-A"]
    assert "hunter2" not in str(refused.value.errors)


@pytest.mark.parametrize(
    ("headers", "rule"),
    [
        ("hunter2", "type"),
        (["hunter2"], "type"),
        ({f"x-{number}": "hunter2" for number in range(MAX_HEADERS + 1)}, "maxProperties"),
        ({f"x-{number}": "a" * 4000 for number in range(3)}, "maxLength"),
    ],
)
def test_headers_are_bounded(headers: Any, rule: str) -> None:
    with pytest.raises(InvalidDocument) as refused:
        RULES.validate({**GOOD, "headers": headers})
    assert {name: list(rules) for name, rules in refused.value.errors.items()} == {"headers": [rule]}
    assert "hunter2" not in str(refused.value.errors)


def test_a_name_is_given_once() -> None:
    assert set(header_errors({"X-A": "1", "x-a": "2"})) == {"headers.X-A", "headers.x-a"}


def test_the_uri_has_no_second_authorization() -> None:
    document = {**GOOD, "headers": {"Authorization": "Basic hunter2"}}
    RULES.validate(document)
    with pytest.raises(InvalidDocument) as refused:
        RULES.validate({**document, "uri": "https://user:secret@h.example/"})
    assert list(refused.value.errors) == ["headers.authorization"]
