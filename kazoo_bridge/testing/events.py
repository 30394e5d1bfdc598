"""Events and an account for tests."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from kazoo_bridge.interfaces import Account
from kazoo_bridge.kazoo import Event, build_envelope

#: An account for tests, below one reseller.
EXAMPLE_ACCOUNT = Account(
    id="3f0a9c51d7e84b62a1c05d9e7b2f4860",
    name="Solberg Instruments",
    realm="voice.example.com",
    ancestors=("c40b8d2e6f1a4795b3d80e7c52a9f613",),
)


def make_event(
    exchange: str,
    routing_key: str,
    body: Mapping[str, Any],
    *,
    envelope: bool = True,
    redelivered: bool = False,
) -> Event:
    """Make the event that a message becomes at the border.

    `exchange` and `routing_key`: where KAZOO publishes the message.

    `body`: the message's JSON object. It goes through JSON, so tuples become lists.

    `envelope`: True: KAZOO's envelope is added, where `body` does not have its keys. The ``Msg-ID`` is always
    ``test-message``, so that the same call always makes the same event.

    `redelivered`: True: the broker has delivered the message before.

    Raises TypeError if `body` cannot be written as JSON.

    Example::

        make_event("callevt", "call.CHANNEL_CREATE.c1", {"Event-Name": "CHANNEL_CREATE", "Call-ID": "c1"})
    """
    if envelope:
        body = build_envelope("", "", message_id="test-message", app_name="test") | dict(body)
    raw = json.dumps(body).encode()
    return Event(exchange, routing_key, json.loads(raw), raw, redelivered)
