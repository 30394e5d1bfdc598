"""What pages are shown: the service as a process on a real broker, and calls as a switch tells of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pika

ACCOUNT, OTHER = "a" * 32, "b" * 32


class Switch:
    """Publishes what happens to calls, as KAZOO does: transient messages on its own exchanges."""

    def __init__(self, uri: str) -> None:
        self._connection = pika.BlockingConnection(pika.URLParameters(uri))
        self._channel = self._connection.channel()
        self._channel.exchange_declare("callevt", "topic", durable=False, auto_delete=False)
        self._channel.confirm_delivery()

    def event(self, name: str, call_id: str, account_id: str = ACCOUNT, **more: Any) -> None:
        """One event of a call; `more` has underlines for dashes."""
        body = {
            "App-Name": "ecallmgr",
            "App-Version": "4.0.0",
            "Event-Category": "call_event",
            "Event-Name": name,
            "Msg-ID": f"{call_id}-{name}",
            "Node": "ecallmgr@switch.example.com",
            "Call-ID": call_id,
            "Call-Direction": "inbound",
            "From": "alice@example.com",
            "To": "2001@example.com",
            "Custom-Channel-Vars": {"Account-ID": account_id},
            "Timestamp": 63961574400,
            **{key.replace("_", "-"): value for key, value in more.items()},
        }
        self.publish("callevt", f"call.{name}.{_encoded(call_id)}", body)

    def publish(self, exchange: str, routing_key: str, body: Mapping[str, Any]) -> None:
        """One message, whatever it says."""
        properties = pika.BasicProperties(content_type="application/json", delivery_mode=1)
        self._channel.basic_publish(exchange, routing_key, json.dumps(body).encode(), properties)

    def close(self) -> None:
        """Hang up on the broker."""
        self._connection.close()


def _encoded(call_id: str) -> str:
    return call_id.replace(".", "%2E").replace("@", "%40")
