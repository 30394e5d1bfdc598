from __future__ import annotations

import pytest
from attrs.exceptions import FrozenInstanceError

from kazoo_bridge.kazoo import Event


def test_events_name_themselves() -> None:
    event = Event("callevt", "k", {"Event-Name": "CHANNEL_CREATE", "Msg-ID": "m1"}, b"{}")
    assert (event.name, event.message_id, event.redelivered) == ("CHANNEL_CREATE", "m1", False)


@pytest.mark.parametrize("message_id", [None, "", 7, ["x"]])
def test_a_message_id_that_is_no_text_is_none(message_id: object) -> None:
    event = Event("callevt", "k", {"Msg-ID": message_id}, b"{}")
    assert event.message_id is None
    assert event.name == ""


def test_events_do_not_change_and_keep_their_bytes_out_of_logs() -> None:
    event = Event("callevt", "k", {}, b"raw bytes")
    with pytest.raises(FrozenInstanceError):
        event.routing_key = "other"  # type: ignore[misc] # what must fail
    assert "raw bytes" not in repr(event)


@pytest.mark.parametrize("name", [7, ["CHANNEL_CREATE"], {"a": "b"}, None])
def test_a_name_that_is_no_text_is_empty(name: object) -> None:
    assert Event("callevt", "k", {"Event-Name": name}, b"{}").name == ""


@pytest.mark.parametrize(
    ("server_id", "expected"),
    [
        ("q", "q"),
        ("é" * 127, "é" * 127),
        ("é" * 128, None),
        ("", None),
        (None, None),
        (7, None),
        (["q"], None),
    ],
)
def test_replies_go_only_to_a_queue_that_amqp_can_address(server_id: object, expected: str | None) -> None:
    assert Event("sysconf", "k", {"Server-ID": server_id}, b"{}").server_id == expected
