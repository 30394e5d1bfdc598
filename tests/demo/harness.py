"""A simulated switch on a `Clock` and an embedded bus, whose messages are recorded."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from twisted.internet.task import Clock

from kazoo_bridge.bus.embedded import EmbeddedBus
from kazoo_bridge.demo import DemoOptions
from kazoo_bridge.demo.call import Call
from kazoo_bridge.demo.phase import Phase
from kazoo_bridge.demo.switchboard import Switchboard
from kazoo_bridge.demo.tenants import make_tenants
from kazoo_bridge.interfaces import Queue, Topic
from kazoo_bridge.kazoo import EXCHANGES, TARGETED, Event, encode_key_part

#: The 24th of November 2026, 14:00 UTC.
START = 1795528800.0
ONE_CALL = DemoOptions(calls_per_minute=0.0001, accounts=3, max_calls=1)


class Harness:
    """`events` are the published messages, `messages` the lines about commands."""

    def __init__(self, options: DemoOptions = ONE_CALL, seed: int = 1) -> None:
        self.clock = Clock()
        self.clock.advance(START)
        self.bus = EmbeddedBus(self.clock)
        self.bus.startService()
        self.events: list[Event] = []
        self.messages: list[str] = []
        all_topics = frozenset(Topic(exchange, "#") for exchange in EXCHANGES if exchange != TARGETED)
        self.bus.consume(Queue("all", all_topics, acknowledge=False), self._record)
        rng = random.Random(seed)
        self.tenants = make_tenants(rng, options.accounts)
        self.switchboard = Switchboard(self.clock, self.bus, self.tenants, options, rng, self.messages.append)
        self.switchboard.startService()
        self.settle()

    def _record(self, event: Event) -> None:
        self.events.append(event)

    def settle(self) -> None:
        """Let messages arrive, without time passing."""
        for _ in range(5):
            self.clock.advance(0)

    def run(self, seconds: float, step: float = 1.0, on_step: Callable[[], None] = lambda: None) -> None:
        for _ in range(int(seconds / step)):
            self.clock.advance(step)
            on_step()
        self.settle()

    def run_until(self, condition: Callable[[], object], timeout: float = 300) -> None:
        deadline = self.clock.seconds() + timeout
        while not condition():
            assert self.clock.seconds() < deadline, "the condition was never true"
            self.clock.advance(0.1)
        self.settle()

    def stop(self) -> None:
        self.switchboard.stopService()
        self.bus.stopService()

    # -- calls

    def connect_call(self) -> Call:
        """Return the only call when it is connected. It does nothing by itself for a minute."""
        (call,) = self.switchboard.calls
        call.commanded = True
        self.run_until(lambda: call.phase is Phase.TALKING)
        self.events.clear()
        return call

    def command(self, call_id: str, action: str, data: dict[str, Any] | None = None) -> None:
        body = {
            "Event-Category": "metaflow",
            "Event-Name": "action",
            "Action": action,
            "Call-ID": call_id,
            "Data": data or {},
        }
        self.bus.publish("metaflow", f"metaflow.action.{encode_key_part(call_id)}.{action}", body)
        self.settle()

    def flow(self, call_id: str, flow: Any) -> None:
        body = {"Event-Category": "metaflow", "Event-Name": "flow", "Call-ID": call_id, "Flow": flow}
        self.bus.publish("metaflow", f"metaflow.flow.{encode_key_part(call_id)}", body)
        self.settle()

    def query(self, name: str, key: str = "channels", **body: Any) -> list[Event]:
        """Return all replies within a second. Keys of `body` have ``_`` for ``-``."""
        request = {"Event-Category": "call_event", "Event-Name": name} | {
            name.replace("_", "-"): value for name, value in body.items()
        }
        result = self.bus.request("callevt", f"call.status_req.{key}", request, timeout=1)
        replies: list[Event] = []
        result.addCallback(replies.extend)
        self.run(1.5, 0.5)
        assert result.called
        return replies

    def call_events(self) -> list[Event]:
        return [
            event
            for event in self.events
            if event.exchange == "callevt" and not event.routing_key.startswith("call.status_req.")
        ]

    def leg_events(self) -> list[tuple[str, str]]:
        """Return name and leg of each call event since `events` was cleared."""
        return [(event.name, event.body["Call-ID"]) for event in self.call_events()]
