from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kazoo_bridge.interfaces import Occurrence
from kazoo_bridge.webhooks.http.http_request import build_payload, build_request, form_encode, is_success
from tests.webhooks.hook_factory import ACCOUNT, make_hook

OCCURRENCE = Occurrence("channel_create", ACCOUNT, {"call_id": "x@1.2.3.4", "from": "Ж", "vars": {"a": 1}})


def test_post_form() -> None:
    request = build_request(make_hook(), OCCURRENCE.payload, "")
    assert (request.method, request.url) == ("POST", "http://receiver.example/")
    assert request.body == b"call_id=x%401.2.3.4&from=%D0%96&vars[a]=1"
    assert request.headers == {
        "X-Hook-ID": "h1",
        "X-Account-ID": ACCOUNT,
        "Content-Type": "application/x-www-form-urlencoded",
    }


def test_put_json_with_cluster_id_and_custom_data_that_overrides_the_payload() -> None:
    hook = make_hook(
        http_verb="PUT", format="json", custom_data={"from": "mine", "type": "user", "extra": "1"}
    )
    request = build_request(hook, OCCURRENCE.payload, "cluster")
    assert request.method == "PUT"
    assert request.headers["Content-Type"] == "application/json"
    assert orjson.loads(request.body) == {
        "call_id": "x@1.2.3.4",
        "from": "mine",
        "vars": {"a": 1},
        "extra": "1",
        "cluster_id": "cluster",
    }


@pytest.mark.parametrize(
    ("uri", "url"),
    [
        ("http://h/p", "http://h/p?call_id=1"),
        ("http://h/p?a=b", "http://h/p?a=b&call_id=1"),
        ("http://h?a[x]=%zz#part", "http://h?a[x]=%zz&call_id=1"),
        ("http://[::1]:81/", "http://[::1]:81/?call_id=1"),
    ],
)
def test_get_appends_to_the_query(uri: str, url: str) -> None:
    request = build_request(make_hook(uri=uri, http_verb="get"), {"call_id": "1"}, "")
    assert (request.method, request.url, request.body) == ("GET", url, b"")


@pytest.mark.parametrize(
    ("document", "statuses", "others"),
    [
        ({}, [200], [201, 202, 204, 301]),
        ({"http_verb": "put"}, [200, 201], [202]),
        ({"success_codes": ["204"]}, [204], [200, 201]),
        ({"success_codes": ["2xx", "409"], "http_verb": "put"}, [200, 201, 299, 409], [300, 410, 500]),
    ],
)
def test_what_counts_as_success(document: dict[str, Any], statuses: list[int], others: list[int]) -> None:
    request = build_request(make_hook(**document), {}, "")
    assert [status for status in statuses + others if is_success(request, status)] == statuses


def test_own_headers_and_the_timeout_are_those_of_the_request() -> None:
    request = build_request(make_hook(headers={"X-Api-Key": "hunter2"}, timeout_ms=1500), {}, "")
    assert request.headers["x-api-key"] == "hunter2"
    assert request.timeout == 1.5


def test_no_secret_in_the_repr() -> None:
    assert "hunter2" not in repr(build_request(make_hook(uri="http://u:hunter2@h/"), OCCURRENCE.payload, ""))


def test_the_cluster_id_overrides_custom_data() -> None:
    assert build_payload(make_hook(custom_data={"cluster_id": "mine"}), {}, "c") == {"cluster_id": "c"}
    assert build_payload(make_hook(custom_data={"cluster_id": "mine"}), {}, "") == {"cluster_id": "mine"}


@pytest.mark.parametrize(
    ("payload", "encoded"),
    [
        ({"a": "b"}, "a=b"),
        ({"a": {"b": {"c": "d"}}}, "a[b][c]=d"),
        ({"a": ["x", "y"]}, "a[]=x&a[]=y"),
        ({"yes": True, "no": False, "n": 3, "f": 1.5}, "yes=true&no=false&n=3&f=1.5"),
        ({"none": None, "empty": {}, "list": [], "text": ""}, "text="),
        ({"name": "Lémery & Söhne"}, "name=L%C3%A9mery+%26+S%C3%B6hne"),
        ({"a": [{"b": 1}]}, "a[][b]=1"),
        ({"Account-ID": "x.y_z~"}, "Account-ID=x.y_z~"),
        ({"a]b&c": "d"}, "a%5Db%26c=d"),
    ],
)
def test_nested_data_is_encoded_like_in_kazoo(payload: dict[str, Any], encoded: str) -> None:
    assert form_encode(payload) == encoded


_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="[]"), min_size=1, max_size=8)
_nested = st.recursive(
    _text | st.booleans() | st.integers(),
    lambda inner: st.dictionaries(_names, inner, min_size=1, max_size=3),
    max_leaves=12,
)


def _flatten(prefix: str, value: Any) -> list[tuple[str, str]]:
    if isinstance(value, dict):
        return [
            pair
            for name, item in value.items()
            for pair in _flatten(f"{prefix}[{name}]" if prefix else name, item)
        ]
    return [(prefix, str(value).lower() if isinstance(value, bool) else str(value))]


@given(st.dictionaries(_names, _nested, max_size=4))
def test_an_independent_parser_reads_what_was_encoded(payload: dict[str, Any]) -> None:
    encoded = form_encode(payload)
    assert encoded.isascii()
    assert parse_qsl(encoded, keep_blank_values=True, strict_parsing=bool(encoded)) == _flatten("", payload)
