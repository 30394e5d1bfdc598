from __future__ import annotations

from typing import Any

import orjson
import pytest

from kazoo_bridge.interfaces import Occurrence
from kazoo_bridge.webhooks.http.http_request import build_payload, build_request, is_success
from kazoo_bridge.webhooks.http.payload_encoding import PayloadTooLarge
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
        ("http://h?a[x]=%zz#part", "http://h?a%5Bx%5D=%zz&call_id=1"),
        ("http://h/?", "http://h/?call_id=1"),
        ('http://u:p@[::1]/{a}|"b"?<c>^`', "http://u:p@[::1]/%7Ba%7D%7C%22b%22?%3Cc%3E%5E%60&call_id=1"),
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


def test_get_encodes_the_brackets_of_nested_data() -> None:
    request = build_request(make_hook(uri="http://h/", http_verb="get"), {"vars": {"a": [1, 2]}}, "")
    assert request.url == "http://h/?vars%5Ba%5D%5B%5D=1&vars%5Ba%5D%5B%5D=2"


def test_get_without_a_payload_leaves_the_uri() -> None:
    assert build_request(make_hook(uri="http://h/?x#y", http_verb="get"), {}, "").url == "http://h/?x"


def test_the_uri_of_a_post_hook_has_no_raw_brackets_either() -> None:
    assert build_request(make_hook(uri="http://[::1]/?a[b]=c"), {}, "").url == "http://[::1]/?a%5Bb%5D=c"


@pytest.mark.parametrize("form", [{"http_verb": "get"}, {"http_verb": "post"}, {"format": "json"}])
def test_a_request_is_bounded(form: dict[str, str]) -> None:
    hook = make_hook(**form)
    build_request(hook, {"text": "x" * 900}, "", max_bytes=1000)
    with pytest.raises(PayloadTooLarge):
        build_request(hook, {"text": "x" * 1001}, "", max_bytes=1000)


def test_no_secret_in_the_repr() -> None:
    assert "hunter2" not in repr(build_request(make_hook(uri="http://u:hunter2@h/"), OCCURRENCE.payload, ""))


def test_the_cluster_id_overrides_custom_data() -> None:
    assert build_payload(make_hook(custom_data={"cluster_id": "mine"}), {}, "c") == {"cluster_id": "c"}
    assert build_payload(make_hook(custom_data={"cluster_id": "mine"}), {}, "") == {"cluster_id": "mine"}
