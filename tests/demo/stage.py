"""A switchboard on a clock and an embedded bus, with somebody who writes down everything that passes."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from twisted.internet.task import Clock

from kazoo_bridge.bus.embedded import EmbeddedBus
from kazoo_bridge.demo.call import Call, Phase
from kazoo_bridge.demo.options import DemoOptions
from kazoo_bridge.demo.switchboard import Switchboard
from kazoo_bridge.demo.tenants import make_tenants
from kazoo_bridge.interfaces import Queue, Topic
from kazoo_bridge.kazoo import EXCHANGES, TARGETED, Event, encode_key_part

#: The 24th of November 2026, 14:00 UTC.
START = 1795528800.0
ONE_CALL = DemoOptions(calls_per_minute=0.0001, accounts=3, max_calls=1)


class Stage:
    def __init__(self, options: DemoOptions = ONE_CALL, seed: int = 1) -> None:
        self.clock = Clock()
        self.clock.advance(START)
        self.bus = EmbeddedBus(self.clock)
        self.bus.startService()
        self.passed: list[Event] = []
        self.said: list[str] = []
        everything = frozenset(Topic(exchange, "#") for exchange in EXCHANGES if exchange != TARGETED)
        self.bus.consume(Queue("everything", everything, acknowledge=False), self._write_down)
        chance = random.Random(seed)
        self.tenants = make_tenants(chance, options.accounts)
        self.switchboard = Switchboard(self.clock, self.bus, self.tenants, options, chance, self.said.append)
        self.switchboard.startService()
        self.pump()

    def _write_down(self, event: Event) -> None:
        self.passed.append(event)

    def pump(self) -> None:
        """Let messages arrive, without time passing."""
        for _ in range(5):
            self.clock.advance(0)

    def run(self, seconds: float, step: float = 1.0, look: Callable[[], None] = lambda: None) -> None:
        for _ in range(int(seconds / step)):
            self.clock.advance(step)
            look()
        self.pump()

    def run_until(self, condition: Callable[[], object], most: float = 300) -> None:
        ends = self.clock.seconds() + most
        while not condition():
            assert self.clock.seconds() < ends, "it does not come to that"
            self.clock.advance(0.1)
        self.pump()

    def stop(self) -> None:
        self.switchboard.stopService()
        self.bus.stopService()

    # -- calls

    def talking(self) -> Call:
        """The one call, as soon as its two people talk. It is in good hands: it does nothing by itself for a while."""
        (call,) = self.switchboard.live
        call.commanded = True
        self.run_until(lambda: call.phase is Phase.TALKING)
        self.passed.clear()
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
        self.pump()

    def flow(self, call_id: str, flow: Any) -> None:
        body = {"Event-Category": "metaflow", "Event-Name": "flow", "Call-ID": call_id, "Flow": flow}
        self.bus.publish("metaflow", f"metaflow.flow.{encode_key_part(call_id)}", body)
        self.pump()

    def ask(self, name: str, key: str = "channels", **body: Any) -> list[Event]:
        """All answers that come within a second."""
        question = {"Event-Category": "call_event", "Event-Name": name} | {
            word.replace("_", "-"): value for word, value in body.items()
        }
        asked = self.bus.request("callevt", f"call.status_req.{key}", question, timeout=1)
        answers: list[Event] = []
        asked.addCallback(answers.extend)
        self.run(1.5, 0.5)
        assert asked.called
        return answers

    def call_events(self) -> list[Event]:
        return [
            event
            for event in self.passed
            if event.exchange == "callevt" and not event.routing_key.startswith("call.status_req.")
        ]

    def told(self) -> list[tuple[str, str]]:
        """What has happened to which leg, since the last time that `passed` was emptied."""
        return [(event.name, event.body["Call-ID"]) for event in self.call_events()]
