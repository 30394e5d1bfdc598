"""Numbered call events as KAZOO publishes them, about 1 kB of JSON, and the queue that has them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence

import pika

from tests.integration.kazoo_events import call_event

EXCHANGE = "callevt"
EVENT_NAME = "CHANNEL_CREATE"

#: The queue of the default configuration.
QUEUE = "kazoo_bridge.webhooks"

#: What the receiver finds the number of an event by; eight digits follow.
_MARK = "bench-"

_MAX_WAIT = 60.0


def account_id(number: int) -> str:
    """Return the id of the account with a number."""
    return f"{number:032x}"


def _event() -> bytes:
    more = {
        "Msg-ID": "{call}-7f3e",
        "Caller-ID-Number": "+420226203041",
        "Callee-ID-Name": "Front Desk",
        "Callee-ID-Number": "2001",
        "From": "+420226203041@sip.example.net",
        "To": "2001@voice.example.com",
        "Request": "2001@voice.example.com",
        "Inception": "+420226203041@sip.example.net",
        "Channel-Name": "sofia/sipinterface_1/2001@voice.example.com",
        "Channel-State": "ROUTING",
        "Channel-Call-State": "RINGING",
        "Custom-Application-Vars": {"crm_ticket": "{number}"},
        "Switch-Nodename": "freeswitch@fs1.voice.example.com",
        "Switch-URI": "sip:10.0.0.7:11000",
        "Media-Server": "fs1.voice.example.com",
        "Node": "ecallmgr@apps1.voice.example.com",
    }
    event = call_event("{account}", "{call}-5c0a@10.0.0.7") | more
    event["Custom-Channel-Vars"] |= {
        "Authorizing-ID": "b81d6a0e52c94f37908e14ad6c7f2b35",
        "Authorizing-Type": "device",
        "Reseller-ID": "c40b8d2e6f1a4795b3d80e7c52a9f613",
        "Bridge-ID": "9f2e61bb-0c44@10.0.0.7",
    }
    return json.dumps(event).encode()


_EVENT = _event()


def make_event(number: int, accounts: Sequence[str], events_per_call: int = 1) -> tuple[str, bytes]:
    """Return the routing key and the body of an event, of each of the accounts in turn."""
    call = b"%08d" % (number // events_per_call)
    account = accounts[number // events_per_call % len(accounts)]
    content = (
        _EVENT.replace(b"{number}", b"%s%08d" % (_MARK.encode(), number))
        .replace(b"{account}", account.encode())
        .replace(b"{call}", call)
    )
    return f"call.{EVENT_NAME}.{call.decode()}-5c0a%4010%2E0%2E0%2E7", content


class EventPublisher:
    """A connection to the broker that publishes like KAZOO: messages are not persistent."""

    def __init__(self, uri: str) -> None:
        self._connection = pika.BlockingConnection(pika.URLParameters(uri))
        self._channel = self._connection.channel()
        self._properties = pika.BasicProperties(content_type="application/json", delivery_mode=1)

    def publish(self, event: tuple[str, bytes]) -> None:
        """Publish one event, a routing key and a body."""
        self._channel.basic_publish(EXCHANGE, event[0], event[1], self._properties)

    def pause(self, seconds: float) -> None:
        """Wait, and let the connection work meanwhile."""
        self._connection.process_data_events(max(seconds, 0))

    def fill(self, count: int, event: Callable[[int], tuple[str, bytes]]) -> None:
        """Empty the queue, and fill it with the events that have the numbers 0 and up."""
        self._channel.queue_purge(QUEUE)
        for number in range(count):
            self.publish(event(number))
            if number % 1000 == 0:
                self.pause(0)
        deadline = time.monotonic() + _MAX_WAIT
        while (waiting := self.waiting()) < count:
            if time.monotonic() > deadline:
                raise RuntimeError(f"only {waiting} of {count} events have reached the queue")
            self.pause(0.1)

    def waiting(self) -> int:
        """Return how many events are in the queue and with no consumer."""
        return int(self._channel.queue_declare(QUEUE, passive=True).method.message_count)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
