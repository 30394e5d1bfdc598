from __future__ import annotations

import json

import pytest

from kazoo_bridge.kazoo import is_account_id
from kazoo_bridge.testing import EXAMPLE_ACCOUNT, make_event


def test_an_event_has_what_a_message_of_kazoo_has() -> None:
    event = make_event("callevt", "call.CHANNEL_CREATE.c1", {"Event-Name": "CHANNEL_CREATE", "Call-ID": "c1"})
    assert (event.exchange, event.routing_key, event.redelivered) == (
        "callevt",
        "call.CHANNEL_CREATE.c1",
        False,
    )
    assert (event.name, event.message_id) == ("CHANNEL_CREATE", "test-message")
    assert {"App-Name", "App-Version", "Event-Category", "Event-Name", "Msg-ID", "Call-ID"} == set(event.body)
    assert json.loads(event.raw) == event.body


def test_the_same_call_makes_the_same_event() -> None:
    assert make_event("callevt", "k", {"a": 1}) == make_event("callevt", "k", {"a": 1})


def test_the_body_overrides_the_envelope_and_goes_through_json() -> None:
    event = make_event("callevt", "k", {"Msg-ID": "m", "List": (1, 2)}, redelivered=True)
    assert (event.message_id, event.body["List"], event.redelivered) == ("m", [1, 2], True)


def test_an_event_without_an_envelope_has_the_keys_of_the_body_only() -> None:
    assert make_event("callevt", "k", {"a": 1}, envelope=False).body == {"a": 1}


def test_a_body_that_json_cannot_hold_is_refused() -> None:
    with pytest.raises(TypeError):
        make_event("callevt", "k", {"a": {1, 2}})


def test_the_example_account_is_one_that_kazoo_could_have() -> None:
    assert is_account_id(EXAMPLE_ACCOUNT.id)
    assert all(map(is_account_id, EXAMPLE_ACCOUNT.ancestors))
    assert EXAMPLE_ACCOUNT.realm
