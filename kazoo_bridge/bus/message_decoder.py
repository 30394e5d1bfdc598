"""Decodes the messages of one bus, and counts what cannot be read or handled."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import get_args

from prometheus_client import CollectorRegistry
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from kazoo_bridge.bus.message_codec import DecodeError, Unreadable, decode
from kazoo_bridge.interfaces import InvalidMessage
from kazoo_bridge.kazoo import Event
from kazoo_bridge.log_throttle import LogThrottle
from kazoo_bridge.metrics import register_counter, register_labelled_counter


class MessageDecoder:
    """Decodes messages. `failed` is the number of messages that were dropped because their handler failed."""

    log = Logger()

    def __init__(self, clock: IReactorTime) -> None:
        self.failed = 0
        self._dropped: Mapping[str, LogThrottle] = {
            reason: LogThrottle(clock, partial(self._log_dropped, reason)) for reason in get_args(Unreadable)
        }
        self._repaired = LogThrottle(clock, self._log_repaired)

    @property
    def unreadable(self) -> Mapping[str, int]:
        """Number of messages that were dropped because they cannot be read, by reason."""
        return {reason: throttle.total for reason, throttle in self._dropped.items()}

    @property
    def repaired(self) -> int:
        """Number of messages that were not quite JSON and were delivered with replacements."""
        return self._repaired.total

    def decode(
        self, exchange: str, routing_key: str, raw: bytes, content_encoding: str | None, redelivered: bool
    ) -> Event | None:
        """Return the event in a message, or None, after counting it, for one that cannot be read."""
        try:
            return decode(exchange, routing_key, raw, content_encoding, redelivered, self._on_repaired)
        except DecodeError as error:
            self.drop(error.reason, exchange, routing_key, str(error))
            return None

    def drop(self, reason: Unreadable, exchange: str, routing_key: str, text: str) -> None:
        """Count a message that is dropped; `text` says why."""
        self._dropped[reason].count(_describe(exchange, routing_key, text))

    def handler_failed(self, failure: Failure, exchange: str, routing_key: str) -> None:
        """Count a message whose handler has failed, and log the failure unless it is `InvalidMessage`."""
        if failure.check(InvalidMessage):
            self.drop("invalid", exchange, routing_key, failure.getErrorMessage())
            return
        self.failed += 1
        self.log.failure(
            "handling an event with routing key {routing_key} failed", failure, routing_key=routing_key
        )

    def stop(self) -> None:
        """Log what has not been logged yet, and leave no delayed call."""
        for throttle in (*self._dropped.values(), self._repaired):
            throttle.stop()

    def register_metrics(self, registry: CollectorRegistry) -> None:
        """Register the counters."""
        register_labelled_counter(
            registry,
            "events_unreadable",
            "Messages that were dropped because they cannot be read or used",
            "reason",
            lambda: self.unreadable,
        )
        register_counter(
            registry,
            "events_repaired",
            "Messages that were not quite JSON and were delivered with replacements",
            lambda: self.repaired,
        )
        register_counter(
            registry,
            "events_failed",
            "Messages that were dropped because handling them failed",
            lambda: self.failed,
        )

    def _on_repaired(self, exchange: str, routing_key: str, problem: str) -> None:
        self._repaired.count(_describe(exchange, routing_key, problem))

    def _log_dropped(self, reason: str, count: int, latest: str) -> None:
        self.log.warn(
            "dropped unreadable messages reason={reason} count={count} latest: {latest}",
            reason=reason,
            count=count,
            latest=latest,
        )

    def _log_repaired(self, count: int, latest: str) -> None:
        self.log.warn(
            "replaced what JSON does not allow in messages count={count} latest: {latest}",
            count=count,
            latest=latest,
        )


def _describe(exchange: str, routing_key: str, text: str) -> str:
    return f"exchange={exchange} routing_key={routing_key}: {text}"
