"""Messages out, each confirmed by the broker.

They have their own connection: a broker short of memory blocks connections that publish, and consumers must
continue.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from attrs import define
from twisted.internet.defer import CancelledError, Deferred, TimeoutError, fail, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from kazoo_bridge.bus.amqp.connection.channel import BrokerChannel
from kazoo_bridge.bus.amqp.connection.connection import BrokerConnection
from kazoo_bridge.bus.amqp.connection.reconnecting import RETRY_DELAY
from kazoo_bridge.bus.amqp.connection.request_watch import REQUEST_TIMEOUT
from kazoo_bridge.bus.amqp.topology import Topology
from kazoo_bridge.bus.amqp.wire import frame_writer
from kazoo_bridge.bus.amqp.wire.errors import BrokerClosedChannel, Closed
from kazoo_bridge.bus.amqp.wire.field_table import short_string
from kazoo_bridge.bus.message_codec import encode as encode_json
from kazoo_bridge.interfaces import BusUnavailable, Unroutable

#: Maximum number of messages that wait for the broker's confirmation.
MAX_UNCONFIRMED = 10_000
#: Maximum size of a message's body in bytes.
MAX_MESSAGE_BYTES = 16 * 1024 * 1024

_PUBLISH = b"\x00\x3c\x00\x28\x00\x00"
_HEADER = struct.Struct("!HHQ")
#: Property flags: content type and delivery mode, and the same with a message id.
_PLAIN, _WITH_ID = 0x9000, 0x9080
_JSON = short_string("application/json")
_TRANSIENT = b"\x01"


def encode(body: Mapping[str, Any]) -> bytes:
    """Return the body as JSON.

    Raises ValueError for values that JSON or UTF-8 cannot hold, and for too large a message.
    """
    encoded = encode_json(body)
    if len(encoded) > MAX_MESSAGE_BYTES:
        raise ValueError(f"the message has {len(encoded)} bytes, more than the {MAX_MESSAGE_BYTES} allowed")
    return encoded


@define
class _Unconfirmed:
    """A message without confirmation, with the reason if the broker returned it."""

    result: Deferred[None]
    returned: str | None = None


class ConfirmingPublisher:
    """Publishes over one channel in confirm mode, in the order of the calls.

    `ended` fires with the reason in words when the channel is closed.
    """

    def __init__(self, connection: BrokerConnection, channel: BrokerChannel) -> None:
        self._connection = connection
        self._channel = channel.id
        self._unconfirmed: dict[int, _Unconfirmed] = {}
        self._sequence = 0
        self._closed: str | None = None
        connection.reader.add_publisher(channel.id, self._on_confirm, self._on_return)
        self.ended = channel.when_closed().addCallback(lambda error: self._end(str(error)))

    @classmethod
    async def open(cls, connection: BrokerConnection) -> ConfirmingPublisher:
        """Open a channel and return its publisher. Raises the exceptions of `wire.errors`."""
        channel = await connection.open_channel()
        await channel.confirm_select()
        return cls(connection, channel)

    def publish(self, exchange: str, routing_key: str, body: bytes, mandatory: bool) -> Deferred[None]:
        """Send a message; fires when the broker has confirmed it.

        Fails with BusUnavailable when the broker cannot take it or the channel is closed first, with
        Unroutable for a `mandatory` message that reached no queue, with ValueError for too long a routing
        key.
        """
        if self._closed is not None:
            return fail(BusUnavailable(f"publishing was stopped by the broker: {self._closed}"))
        if len(self._unconfirmed) >= MAX_UNCONFIRMED:
            return fail(
                BusUnavailable(f"{MAX_UNCONFIRMED} messages wait for the broker's confirmation already")
            )
        try:
            method = _PUBLISH + _address(exchange, routing_key) + (b"\x01" if mandatory else b"\x00")
        except ValueError as error:
            return fail(error)
        self._sequence += 1
        unconfirmed = self._unconfirmed[self._sequence] = _Unconfirmed(Deferred())
        # A returned message is identified by its id: the confirm that follows is positive.
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
        return unconfirmed.result

    def fail_all(self, reason: str) -> None:
        """Fail every unconfirmed message with BusUnavailable."""
        unconfirmed, self._unconfirmed = self._unconfirmed, {}
        for one in unconfirmed.values():
            one.result.errback(BusUnavailable(reason))

    def _end(self, reason: str) -> str:
        self._closed = reason
        self.fail_all(f"the channel ended before the broker confirmed: {reason}")
        return reason

    def _on_return(self, code: int, text: str, exchange: str, routing_key: str, properties: bytes) -> None:
        number = frame_writer.read_properties(self._connection.spec, properties).get("message-id", "")
        returned = self._unconfirmed.get(int(number)) if number.isdigit() else None
        if returned is not None:
            returned.returned = f"no queue takes {routing_key} from the exchange {exchange}: {code} {text}"

    def _on_confirm(self, tag: int, multiple: bool, positive: bool) -> None:
        if multiple:
            # Messages are in the order of their numbers, so the confirmed ones come first.
            numbers = []
            for number in self._unconfirmed:
                if number > tag:
                    break
                numbers.append(number)
        else:
            numbers = [tag] if tag in self._unconfirmed else []
        for confirmed in [self._unconfirmed.pop(number) for number in numbers]:
            if confirmed.returned is not None:
                confirmed.result.errback(Unroutable(confirmed.returned))
            elif positive:
                confirmed.result.callback(None)
            else:
                confirmed.result.errback(BusUnavailable("the broker could not take the message"))


@lru_cache(maxsize=256)
def _address(exchange: str, routing_key: str) -> bytes:
    return short_string(exchange) + short_string(routing_key)


class PublisherSupervisor:
    """Keeps a publisher open on the current connection, and declares exchanges before their first use.

    `retry_delay` gives the seconds before attempt n (from 0) to open it again on one connection.
    """

    log = Logger()

    def __init__(self, clock: IReactorTime, retry_delay: Callable[[int], float] = RETRY_DELAY) -> None:
        self._clock = clock
        self._retry_delay = retry_delay
        self._connection: BrokerConnection | None = None
        self._topology: Topology | None = None
        self._publisher: ConfirmingPublisher | None = None
        self._task: Deferred[None] | None = None
        self._open_waiters: dict[Deferred[None], None] = {}

    def unavailable_reason(self) -> str | None:
        """Return why nothing can be published; None when it can."""
        if self._connection is None or self._is_closed() or self._publisher is None:
            return "publishing is not possible yet"
        blocked = self._connection.blocked
        return None if blocked is None else f"broker has blocked publishing: {blocked}"

    def when_open(self) -> Deferred[None]:
        """Fire as soon as a connection is ready to publish over, also if the broker has blocked it.

        May be cancelled.
        """
        if self._publisher is not None and not self._is_closed():
            return succeed(None)
        waiter: Deferred[None] = Deferred(lambda cancelled: self._open_waiters.pop(cancelled, None))
        self._open_waiters[waiter] = None
        return waiter

    def connected(self, connection: BrokerConnection) -> None:
        """Publish over this connection."""
        self._connection = connection
        self._topology = Topology(connection)
        self._task = Deferred.fromCoroutine(self._keep_open(connection))
        self._task.addErrback(self._on_task_failed)

    def disconnected(self) -> None:
        """Forget the connection, which is lost."""
        self._connection = self._topology = self._publisher = None
        task, self._task = self._task, None
        if task is not None:
            task.cancel()

    def on_blocked(self, reason: str | None) -> None:
        """Fail all unconfirmed messages; with None as the reason the broker accepts messages again."""
        if reason is None:
            self.log.info("the broker accepts messages again")
            return
        self.log.warn("the broker has blocked publishing: {reason}", reason=reason)
        if self._publisher is not None:
            self._publisher.fail_all(f"broker has blocked publishing: {reason}")

    def publish(
        self, exchange: str, routing_key: str, body: Mapping[str, Any], mandatory: bool
    ) -> Deferred[None]:
        """See `IBus.publish`; fails with ValueError for an impossible body or too long a routing key."""
        try:
            encoded = encode(body)
        except ValueError as error:
            return fail(error)
        reason = self.unavailable_reason()
        if reason is not None or self._publisher is None or self._topology is None:
            return fail(BusUnavailable(reason))
        if exchange == "" or self._topology.knows(exchange):
            return self._publisher.publish(exchange, routing_key, encoded, mandatory)
        return Deferred.fromCoroutine(
            self._declare_and_publish(self._topology, exchange, routing_key, encoded, mandatory)
        )

    async def publish_probe(self, exchange: str, routing_key: str) -> None:
        """Declare an exchange if it is missing, and publish an empty mandatory message.

        Fails like `publish`. A broker that does not confirm it in time loses the connection: it would leave
        all other messages unconfirmed, too.
        """
        reason, topology, connection = self.unavailable_reason(), self._topology, self._connection
        if reason is not None or topology is None or connection is None:
            raise BusUnavailable(reason)
        try:
            await topology.redeclare(exchange)
        except Closed as error:
            raise BusUnavailable(f"exchange {exchange} cannot be used: {error}") from None
        if self._publisher is None:
            raise BusUnavailable(self.unavailable_reason())
        published = self._publisher.publish(exchange, routing_key, b"{}", True)
        try:
            await published.addTimeout(REQUEST_TIMEOUT, self._clock)
        except TimeoutError:
            text = f"the broker has not confirmed a message for {REQUEST_TIMEOUT:g} seconds"
            connection.abort(text)
            raise BusUnavailable(text) from None

    async def _declare_and_publish(
        self, topology: Topology, exchange: str, routing_key: str, body: bytes, mandatory: bool
    ) -> None:
        """Publish to an exchange that this connection has not used yet."""
        try:
            await topology.exchange(exchange)
        except BrokerClosedChannel as error:
            raise BusUnavailable(f"exchange {exchange} cannot be used: {error.text}") from None
        except Closed as error:
            raise BusUnavailable(f"the connection ended before the message was sent: {error}") from None
        if self._publisher is None:
            raise BusUnavailable(self.unavailable_reason())
        await self._publisher.publish(exchange, routing_key, body, mandatory)

    def _is_closed(self) -> bool:
        """Return whether the connection is closed, which is so a moment before it is lost."""
        return self._connection is not None and self._connection.close_reason is not None

    def _on_open(self) -> None:
        waiters, self._open_waiters = self._open_waiters, {}
        for waiter in waiters:
            if not waiter.called:  # another one's callback may have cancelled it
                waiter.callback(None)

    async def _keep_open(self, connection: BrokerConnection) -> None:
        attempt = 0
        while connection.close_reason is None:
            try:
                self._publisher = publisher = await ConfirmingPublisher.open(connection)
                self._on_open()
                reason = await publisher.ended
            except Closed as error:
                reason = str(error)
            if connection.close_reason is not None:
                return
            self._publisher = None
            if self._topology is not None:
                self._topology.forget_exchanges()  # the channel may have ended because one was deleted
            delay = self._retry_delay(attempt)
            attempt += 1
            self.log.warn(
                "publishing was stopped by the broker, trying again in {delay:.1f} s: {reason}",
                delay=delay,
                reason=reason,
            )
            await deferLater(self._clock, delay)

    def _on_task_failed(self, failure: Failure) -> None:
        if not failure.check(CancelledError):
            self.log.failure("publishing has stopped for good", failure)
