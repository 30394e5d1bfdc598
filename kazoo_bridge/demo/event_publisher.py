"""Publishes the simulated switch's messages with KAZOO's envelope, exchanges and routing keys."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from kazoo_bridge.demo.leg import SWITCH, Leg
from kazoo_bridge.demo.tenants import make_id
from kazoo_bridge.interfaces import BusUnavailable, IBus
from kazoo_bridge.kazoo import TARGETED, Event, build_envelope, encode_key_part

_log = Logger()


class EventPublisher:
    """Publishes events and replies, which are lost while the bus is unavailable."""

    def __init__(self, clock: IReactorTime, bus: IBus, rng: random.Random) -> None:
        self._clock = clock
        self._bus = bus
        self._rng = rng

    def now(self) -> float:
        """Return the time in Unix seconds."""
        return self._clock.seconds()

    def publish_event(
        self, exchange: str, routing_key: str, category: str, name: str, body: Mapping[str, Any]
    ) -> None:
        """Publish an event: `body` with an envelope."""
        self._publish(exchange, routing_key, {**self._envelope(category, name), **body})

    def publish_leg(self, leg: Leg, name: str, more: Mapping[str, Any] | None = None) -> None:
        """Publish the call event `name` of a leg; `more` overrides keys of its body."""
        self._publish_call_event(leg, name, {**leg.event(self.now()), **(more or {})})

    def publish_parking(self, leg: Leg, name: str, slot: str) -> None:
        """Publish a parking event of a leg."""
        self._publish_call_event(leg, name, leg.parking(slot))

    def reply(self, request: Event, name: str, body: Mapping[str, Any], category: str = "call_event") -> None:
        """Reply to a request, if it has a ``Server-ID``."""
        if request.server_id is not None:
            self._publish(
                TARGETED,
                request.server_id,
                {**self._envelope(category, name), **body, "Msg-ID": request.message_id},
            )

    def _publish_call_event(self, leg: Leg, name: str, body: Mapping[str, Any]) -> None:
        self.publish_event("callevt", f"call.{name}.{encode_key_part(leg.id)}", "call_event", name, body)

    def _envelope(self, category: str, name: str) -> dict[str, Any]:
        envelope = build_envelope(
            category, name, message_id=make_id(self._rng), app_name="switchboard", app_version="1"
        )
        return {**envelope, "Node": SWITCH}

    def _publish(self, exchange: str, routing_key: str, body: Mapping[str, Any]) -> None:
        def on_unavailable(failure: Failure) -> None:
            failure.trap(BusUnavailable)
            _log.warn(
                "event of the simulated switch lost routing_key={routing_key} reason={reason}",
                routing_key=routing_key,
                reason=failure.value,
            )

        publishing = self._bus.publish(exchange, routing_key, body)
        publishing.addErrback(on_unavailable)
        publishing.addErrback(
            lambda failure: _log.failure("publishing an event of the simulated switch failed", failure)
        )
