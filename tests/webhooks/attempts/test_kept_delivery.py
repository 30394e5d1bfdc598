from __future__ import annotations

import json
from typing import Any

import pytest

from kazoo_bridge.interfaces import Delivery
from kazoo_bridge.webhooks.attempts.kept_delivery import decode_delivery, encode_delivery
from kazoo_bridge.webhooks.http.http_request import HookRequest

REQUEST = HookRequest("POST", "http://h/", {}, b"{}")


def make_delivery(**more: Any) -> Delivery:
    return Delivery("msg_1", "h1", "a" * 32, "channel_create", "e1", {"n": [1, None, "ü\ud800"]}, 5.0, **more)


@pytest.mark.parametrize(
    "delivery",
    [make_delivery(), make_delivery(ordering_key="k", inline_hook={"uri": "http://h/"}, attempts=3)],
)
def test_a_delivery_is_read_back(delivery: Delivery) -> None:
    text = encode_delivery(delivery, REQUEST, 10_000)
    assert text.isascii()
    assert decode_delivery(text) == delivery


def test_keys_of_a_later_release_are_ignored() -> None:
    later = {**json.loads(encode_delivery(make_delivery(), REQUEST, 10_000)), "later": 1}
    assert decode_delivery(json.dumps(later)) == make_delivery()


def test_what_is_larger_than_the_limit_is_not_kept() -> None:
    size = len(encode_delivery(make_delivery(), REQUEST, 10_000))
    assert encode_delivery(make_delivery(), REQUEST, size)
    assert encode_delivery(make_delivery(), REQUEST, size - 1) == ""
    assert encode_delivery(make_delivery(), HookRequest("POST", "http://h/", {}, b"x" * 301), 300) == ""
    assert encode_delivery(make_delivery(), REQUEST, 0) == ""


def test_what_json_cannot_express_is_not_kept() -> None:
    delivery = Delivery("msg_1", "h1", "a" * 32, "channel_create", "e1", {"n": b"x"}, 5.0)
    assert encode_delivery(delivery, REQUEST, 10_000) == ""
