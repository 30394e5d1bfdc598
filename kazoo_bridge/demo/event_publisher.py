"""How the switchboard puts things on the bus: KAZOO's envelope, exchanges and routing keys."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from kazoo_bridge.demo.leg import SWITCH, Leg
from kazoo_bridge.demo.tenants import fresh_id
from kazoo_bridge.interfaces import BusUnavailable, IBus
from kazoo_bridge.kazoo import TARGETED, Event, build_envelope, encode_key_part

_log = Logger()


class EventPublisher:
    """Tells and answers. What the bus does not take just now is lost, as a switch's events are."""

    def __init__(self, clock: IReactorTime, bus: IBus, chance: random.Random) -> None:
        self._clock = clock
        self._bus = bus
        self._chance = chance

    def now(self) -> float:
        """Unix seconds."""
        return self._clock.seconds()

    def publish_event(
        self, exchange: str, routing_key: str, category: str, name: str, body: Mapping[str, Any]
    ) -> None:
        """Publish a message of its own accord."""
        self._publish(exchange, routing_key, {**self._envelope(category, name), **body})

    def publish_leg(self, leg: Leg, name: str, more: Mapping[str, Any] | None = None) -> None:
        """Publish what has happened to a leg."""
        self._of_call(leg, name, {**leg.event(self.now()), **(more or {})})

    def publish_parking(self, leg: Leg, name: str, slot: str) -> None:
        """Publish what has happened to a leg in a parking slot."""
        self._of_call(leg, name, leg.parking(slot))

    def reply(self, question: Event, name: str, body: Mapping[str, Any]) -> None:
        """Answer a question, if it says where the answer goes."""
        asker = question.body.get("Server-ID")
        if isinstance(asker, str) and asker:
            self._publish(
                TARGETED, asker, {**self._envelope("call_event", name), **body, "Msg-ID": question.message_id}
            )

    def _of_call(self, leg: Leg, name: str, body: Mapping[str, Any]) -> None:
        self.publish_event("callevt", f"call.{name}.{encode_key_part(leg.id)}", "call_event", name, body)

    def _envelope(self, category: str, name: str) -> dict[str, Any]:
        envelope = build_envelope(
            category, name, message_id=fresh_id(self._chance), app_name="switchboard", app_version="1"
        )
        return {**envelope, "Node": SWITCH}

    def _publish(self, exchange: str, routing_key: str, body: Mapping[str, Any]) -> None:
        def lost(failure: Failure) -> None:
            failure.trap(BusUnavailable)
            _log.warn(
                "the switchboard cannot tell of {routing_key}: {reason}",
                routing_key=routing_key,
                reason=failure.value,
            )

        publishing = self._bus.publish(exchange, routing_key, body)
        publishing.addErrback(lost)
        publishing.addErrback(lambda failure: _log.failure("the switchboard's message is wrong", failure))
