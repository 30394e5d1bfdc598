"""A fake switch on a real broker: publishes call events, answers queries, and records commands."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable, Mapping
from typing import Any

import pika

ACCOUNT_ID, OTHER_ACCOUNT_ID = "a" * 32, "b" * 32

_TIMESTAMP = 63961574400
_CLOSE_TIMEOUT_S = 10

_QUERY_ACCOUNT_CHANNELS = "query_account_channels_req"


class CallEventPublisher:
    """Publishes call events like KAZOO: transient messages on its own exchanges."""

    def __init__(self, uri: str) -> None:
        self._connection = pika.BlockingConnection(pika.URLParameters(uri))
        self._channel = self._connection.channel()
        self._channel.exchange_declare("callevt", "topic", durable=False, auto_delete=False)
        self._channel.confirm_delivery()

    def event(self, name: str, call_id: str, account_id: str = ACCOUNT_ID, **fields: Any) -> None:
        """Publish an event of a call. Names of additional `fields` have underscores for KAZOO's hyphens."""
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
            "Timestamp": _TIMESTAMP,
            **{key.replace("_", "-"): value for key, value in fields.items()},
        }
        self._publish("callevt", f"call.{name}.{_encode_segment(call_id)}", body)

    def _publish(self, exchange: str, routing_key: str, body: Mapping[str, Any]) -> None:
        properties = pika.BasicProperties(content_type="application/json", delivery_mode=1)
        self._channel.basic_publish(exchange, routing_key, json.dumps(body).encode(), properties)

    def close(self) -> None:
        """Disconnect from the broker."""
        self._connection.close()


class FakeSwitch:
    """A switch whose calls begin and end on request. It publishes no events for `silent` changes.

    Queries are answered in a thread; `commands` receives the bodies of commands.
    """

    def __init__(self, uri: str) -> None:
        self.commands: queue.Queue[dict[str, Any]] = queue.Queue()
        self._live: dict[str, dict[str, Any]] = {}
        self._publisher = CallEventPublisher(uri)
        self._connection = pika.BlockingConnection(pika.URLParameters(uri))
        self._channel = self._connection.channel()
        for exchange, kind in (("callevt", "topic"), ("metaflow", "topic"), ("targeted", "direct")):
            self._channel.exchange_declare(exchange, kind, durable=False, auto_delete=False)
        self._consume("callevt", "call.status_req.#", self._answer_query)
        self._consume("metaflow", "#", self.commands.put)
        self._thread = threading.Thread(target=self._channel.start_consuming, daemon=True)
        self._thread.start()

    def _consume(self, exchange: str, pattern: str, on_message: Callable[[dict[str, Any]], None]) -> None:
        name = self._channel.queue_declare("", exclusive=True).method.queue
        self._channel.queue_bind(name, exchange, pattern)
        self._channel.basic_consume(
            name, lambda _, __, ___, body: on_message(json.loads(body)), auto_ack=True
        )

    def begin(
        self, call_id: str, account_id: str = ACCOUNT_ID, *, silent: bool = False, **fields: Any
    ) -> None:
        """Begin a call that is answered immediately."""
        parties = {
            "Caller_ID_Name": f"Caller {call_id}",
            "Caller_ID_Number": "+15550100",
            "Callee_ID_Number": "2001",
        }
        self._live[call_id] = {
            "uuid": call_id,
            "account_id": account_id,
            "answered": True,
            "direction": "inbound",
            "timestamp": _TIMESTAMP,
        }
        if not silent:
            self._publisher.event("CHANNEL_CREATE", call_id, account_id, **(parties | fields))
            self._publisher.event("CHANNEL_ANSWER", call_id, account_id, **(parties | fields))

    def end(self, call_id: str, *, silent: bool = False) -> None:
        """End a call."""
        account_id = self._live.pop(call_id)["account_id"]
        if not silent:
            self._publisher.event("CHANNEL_DESTROY", call_id, account_id, Hangup_Cause="NORMAL_CLEARING")

    def event(self, name: str, call_id: str, **fields: Any) -> None:
        """Publish any other event of a live call."""
        self._publisher.event(name, call_id, self._live[call_id]["account_id"], **fields)

    def _answer_query(self, query: dict[str, Any]) -> None:
        if query["Event-Name"] == _QUERY_ACCOUNT_CHANNELS:
            live = list(self._live.values())
            channels: Any = [call for call in live if call["account_id"] == query["Account-ID"]]
        else:
            call = self._live.get(query["Call-ID"])
            if call is None:
                return
            channels = {
                query["Call-ID"]: {
                    "Call-ID": call["uuid"],
                    "Account-ID": call["account_id"],
                    "Answered": True,
                    "Other-Leg-Call-ID": "other",
                }
            }
        reply = {
            "App-Name": "ecallmgr",
            "App-Version": "4",
            "Event-Category": "call_event",
            "Event-Name": query["Event-Name"].replace("_req", "_resp"),
            "Msg-ID": query["Msg-ID"],
            "Channels": channels,
        }
        self._channel.basic_publish("targeted", query["Server-ID"], json.dumps(reply).encode())

    def close(self) -> None:
        """Disconnect from the broker."""
        self._connection.add_callback_threadsafe(self._channel.stop_consuming)
        self._thread.join(_CLOSE_TIMEOUT_S)
        self._connection.close()
        self._publisher.close()


def _encode_segment(call_id: str) -> str:
    return call_id.replace(".", "%2E").replace("@", "%40")
