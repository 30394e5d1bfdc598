"""Messages out, each confirmed by the broker."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from attrs import define
from twisted.internet.defer import Deferred, fail

from kazoo_bridge.bus.amqp.connection.channel import BrokerChannel
from kazoo_bridge.bus.amqp.connection.connection import BrokerConnection
from kazoo_bridge.bus.amqp.wire import frame_writer
from kazoo_bridge.bus.amqp.wire.field_table import short_string
from kazoo_bridge.bus.message_codec import encode as encode_json
from kazoo_bridge.interfaces import BusUnavailable, Unroutable

#: More messages than this may not wait for the broker's confirmation.
MAX_UNCONFIRMED = 10_000
#: What one message may have, in bytes.
MAX_MESSAGE_BYTES = 16 * 1024 * 1024

_PUBLISH = b"\x00\x3c\x00\x28\x00\x00"
_HEADER = struct.Struct("!HHQ")
#: Content type and delivery mode; with a message id.
_PLAIN, _WITH_ID = 0x9000, 0x9080
_JSON = short_string("application/json")
_TRANSIENT = b"\x01"


def encode(body: Mapping[str, Any]) -> bytes:
    """The body as JSON. Raises ValueError for what JSON or UTF-8 cannot hold, and for too large a message."""
    encoded = encode_json(body)
    if len(encoded) > MAX_MESSAGE_BYTES:
        raise ValueError(f"the message has {len(encoded)} bytes, more than the {MAX_MESSAGE_BYTES} allowed")
    return encoded


@define
class _Unconfirmed:
    """A message without confirmation, and why the broker returned it if it did."""

    result: Deferred[None]
    returned: str | None = None


class ConfirmingPublisher:
    """Publishes over one channel in confirm mode, in the order of the calls."""

    def __init__(self, connection: BrokerConnection, channel: BrokerChannel) -> None:
        self._connection = connection
        self._channel = channel.id
        self._waiting: dict[int, _Unconfirmed] = {}
        self._sequence = 0
        self._closed: str | None = None
        connection.reader.confirmed[channel.id] = self._on_confirm
        connection.reader.returned[channel.id] = self._on_return
        self.ended = channel.when_closed().addCallback(lambda error: self._end(str(error)))

    @classmethod
    async def open(cls, connection: BrokerConnection) -> ConfirmingPublisher:
        """A publisher on a fresh channel."""
        channel = await connection.open_channel()
        await channel.confirm_select()
        return cls(connection, channel)

    def publish(self, exchange: str, routing_key: str, body: bytes, mandatory: bool) -> Deferred[None]:
        """Send. Fails with BusUnavailable, or Unroutable if mandatory; with ValueError for too long a routing key."""
        if self._closed is not None:
            return fail(BusUnavailable(f"publishing was stopped by the broker: {self._closed}"))
        if len(self._waiting) >= MAX_UNCONFIRMED:
            return fail(
                BusUnavailable(f"{MAX_UNCONFIRMED} messages wait for the broker's confirmation already")
            )
        try:
            method = _PUBLISH + _address(exchange, routing_key) + (b"\x01" if mandatory else b"\x00")
        except ValueError as error:
            return fail(error)
        self._sequence += 1
        waiting = self._waiting[self._sequence] = _Unconfirmed(Deferred())
        # A returned message is recognised by its id: the confirmation alone does not tell.
        properties = struct.pack("!H", _WITH_ID if mandatory else _PLAIN) + _JSON + _TRANSIENT
        if mandatory:
            properties += short_string(str(self._sequence))
        self._connection.write(
            b"".join(
                (
                    frame_writer.frame(frame_writer.METHOD, self._channel, method),
                    frame_writer.frame(
                        frame_writer.HEADER, self._channel, _HEADER.pack(60, 0, len(body)) + properties
                    ),
                    *frame_writer.body_frames(self._channel, body, self._connection.MAX_LENGTH),
                )
            )
        )
        return waiting.result

    def fail_all(self, reason: str) -> None:
        """Wait for none of the outstanding confirmations any longer."""
        waiting, self._waiting = self._waiting, {}
        for one in waiting.values():
            one.result.errback(BusUnavailable(reason))

    def _end(self, reason: str) -> str:
        self._closed = reason
        self.fail_all(f"the channel ended before the broker confirmed: {reason}")
        return reason

    def _on_return(self, code: int, text: str, exchange: str, routing_key: str, properties: bytes) -> None:
        number = frame_writer.read_properties(self._connection.spec, properties).get("message-id", "")
        waiting = self._waiting.get(int(number)) if number.isdigit() else None
        if waiting is not None:
            waiting.returned = f"no queue takes {routing_key} from the exchange {exchange}: {code} {text}"

    def _on_confirm(self, tag: int, multiple: bool, positive: bool) -> None:
        if multiple:
            # Numbers are in the order they were sent, so the confirmed ones come first.
            numbers = []
            for number in self._waiting:
                if number > tag:
                    break
                numbers.append(number)
        else:
            numbers = [tag] if tag in self._waiting else []
        for waiting in [self._waiting.pop(number) for number in numbers]:
            if waiting.returned is not None:
                waiting.result.errback(Unroutable(waiting.returned))
            elif positive:
                waiting.result.callback(None)
            else:
                waiting.result.errback(BusUnavailable("the broker could not take the message"))


@lru_cache(maxsize=256)
def _address(exchange: str, routing_key: str) -> bytes:
    return short_string(exchange) + short_string(routing_key)
