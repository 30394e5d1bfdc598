from __future__ import annotations

from typing import Any

import pytest

from kazoo_bridge.rest.http.errors import ApiError
from kazoo_bridge.rest.http.filters import MAX_CHOICES, MAX_PATH_KEYS, MAX_TERMS, MAX_TESTS, Filters
from kazoo_bridge.rest.http.query import Query

DOCUMENT: dict[str, Any] = {
    "name": "Ž one",
    "enabled": True,
    "off": False,
    "retries": 2,
    "zero": 0,
    "ratio": 0.5,
    "big": 2**60 + 1,
    "empty": "",
    "nothing": None,
    "list": ["a"],
    "custom_data": {"type": "user", "deep": {"er": "x"}},
    "a.b": "dotted",
}


def filters(query: str) -> Filters:
    return Filters.parse(Query.parse(f"/v2/x?{query}".encode()))


@pytest.mark.parametrize(
    ("query", "passes"),
    [
        ("", True),
        ("unknown=1&_=2", True),
        ("filter_name=%C5%BD+one", True),
        ("filter_name=one", False),
        ("filter_enabled=true", True),
        ("filter_enabled=1", False),
        ("filter_off=false", True),
        ("filter_retries=2", True),
        ("filter_retries=2.0", True),
        ("filter_retries=02", True),
        ("filter_retries=1_0", False),
        ("filter_retries=nan", False),
        ("filter_retries=two", False),
        ("filter_ratio=0.50", True),
        ("filter_big=1152921504606846977", True),
        ("filter_big=1152921504606846976", False),
        ("filter_custom_data.type=user", True),
        ("filter_custom_data.deep.er=x", True),
        ("filter_custom_data.deep.er.more=x", False),
        ("filter_custom_data=x", False),
        ("filter_a.b=dotted", True),
        ("filter_list=a", False),
        ("filter_missing=x", False),
        ("filter_missing=", True),
        ("filter_empty=", True),
        ('filter_retries=["1","2"]', True),
        ('filter_enabled=["true"]', True),
        ('filter_name=["x","y"]', False),
        ("filter_name=[x", False),
        ("filter_retries=2&filter_enabled=true", True),
        ("filter_retries=2&filter_retries=3", False),
        ("filter_not_retries=3", True),
        ("filter_not_retries=2", False),
        ("filter_not_retries=3&filter_not_retries=2", False),
        ("filter_not_missing=x", True),
        ('filter_not_retries=["1","2"]', False),
        ("has_key=enabled", True),
        ("has_key=off", True),
        ("has_key=empty", True),
        ("has_key=nothing", False),
        ("has_key=custom_data.type", True),
        ("has_key=custom_data.none", False),
        ("key_missing=custom_data.none", True),
        ("key_missing=name", False),
        ("has_key=name&has_key=missing", False),
        ("has_value=name", True),
        ("has_value=off", True),
        ("has_value=empty", False),
        ("has_value=zero", False),
        ("has_value=missing", False),
        ("missing_value=empty", True),
        ("value_missing=empty", True),
        ("missing_value=name", False),
        ("created_from=100", True),
        ("created_from=101", False),
        ("created_to=100", True),
        ("created_to=99", False),
        ("created_from=50&created_from=101", False),
        ("modified_from=200&modified_to=200", True),
        ("modified_from=201", False),
        ("modified_to=199", False),
        ("created_from=-5", True),
    ],
)
def test_who_passes(query: str, passes: bool) -> None:
    assert filters(query).accepts(DOCUMENT, 100, 200) is passes


def test_times_that_are_not_known_are_in_no_range() -> None:
    assert filters("filter_retries=2").accepts(DOCUMENT)
    assert not filters("created_from=1").accepts(DOCUMENT)
    assert not filters("modified_to=1").accepts(DOCUMENT)


@pytest.mark.parametrize("name", ["created_from", "created_to", "modified_from", "modified_to"])
@pytest.mark.parametrize("text", ["", "yesterday", "1.5", "1e3", "9" * 40, "٣"])
def test_times_are_numbers(name: str, text: str) -> None:
    with pytest.raises(ApiError) as caught:
        filters(f"{name}={text}".encode().decode("latin-1") if text.isascii() else f"{name}=%D9%A3")
    assert (caught.value.status, caught.value.word) == (400, "validation error")
    assert list(caught.value.data) == [name]
    assert list(caught.value.data[name]) == ["type"]


@pytest.mark.parametrize(
    ("within", "beyond", "field"),
    [
        ("&".join(["filter_a=1"] * MAX_TESTS), "&".join(["filter_a=1"] * (MAX_TESTS + 1)), "filter_a"),
        ("has_key=" + ".".join("a" * MAX_PATH_KEYS), "has_key=" + ".".join("a" * 11), "has_key"),
        (
            f"filter_not_a={list(range(MAX_CHOICES))}",
            f"filter_not_a={list(range(MAX_CHOICES + 1))}",
            "filter_not_a",
        ),
        (
            f"filter_a={list(range(90))}&filter_b={list(range(90))}&filter_c={list(range(90))}",
            f"filter_a={list(range(99))}&filter_b={list(range(99))}&filter_c={list(range(99))}",
            "filter_c",
        ),
    ],
)
def test_filters_are_limited(within: str, beyond: str, field: str) -> None:
    assert filters(within)
    with pytest.raises(ApiError) as refused:
        filters(beyond)
    assert list(refused.value.data) == [field]
    assert refused.value.data[field]["maxItems"]["target"] in (
        MAX_TESTS,
        MAX_PATH_KEYS,
        MAX_CHOICES,
        MAX_TERMS,
    )


def test_a_number_beyond_reason_is_only_text() -> None:
    digits = "1" * 3000
    assert not filters(f"filter_retries={digits}").accepts(DOCUMENT)
    assert filters(f"filter_text={digits}").accepts({"text": digits})
