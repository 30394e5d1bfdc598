from __future__ import annotations

import pytest

from kazoo_bridge.categories.messages import messages
from kazoo_bridge.interfaces import IBindingCategory, Occurrence
from tests.categories.category_calls import ACCOUNT, occurrences


@pytest.mark.parametrize("kind", ["sms", "mms"])
def test_the_payload(kind: str) -> None:
    body = {
        "Event-Category": kind,
        "Event-Name": "inbound",
        "Message-ID": "m1",
        "Account-ID": ACCOUNT,
        "From": "+4722555019",
        "To": "+15555550142",
        "Body": "Hei på deg 👋",
        "Route-Type": "offnet",
        "Charges": 0.02,
        "Route-ID": "r",
    }
    payload = {
        "id": "m1",
        "account_id": ACCOUNT,
        "type": kind,
        "from": "+4722555019",
        "to": "+15555550142",
        "body": "Hei på deg 👋",
        "origin": "offnet",
        "charges": 0.02,
    }
    assert occurrences(messages, body) == [Occurrence(kind, ACCOUNT, payload)]
    assert occurrences(messages, {**body, "Event-Name": "outbound"}) == []


@pytest.mark.parametrize("category", [None, "email", ["sms"]])
def test_other_messages_are_ignored(category: object) -> None:
    assert occurrences(messages, {"Event-Category": category, "Event-Name": "inbound"}) == []


def test_an_empty_body_is_left_out_and_other_empty_texts_are_not() -> None:
    body = {"Event-Category": "sms", "Event-Name": "inbound", "Body": "", "From": "", "Account-ID": ACCOUNT}
    (occurrence,) = occurrences(messages, body)
    assert occurrence.payload == {"account_id": ACCOUNT, "type": "sms", "from": ""}


def test_websockets_cannot_subscribe_to_messages() -> None:
    assert not IBindingCategory.providedBy(messages)
