"""A broker in memory, on a clock: accepts logins and declarations, confirms messages, delivers on request."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import orjson
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from txamqp.connection import Body, Frame, Method
from zope.interface import implementer

from kazoo_bridge.bus.amqp.wire import frame_writer
from kazoo_bridge.config import AmqpUri
from tests.bus.amqp.fake_broker import SPEC, START, method

#: How the broker responds to methods: name -> name and arguments of the response.
RESPONSES: dict[str, tuple[Any, ...]] = {
    "connection.start-ok": ("connection.tune", 2047, 131072, 0),
    "connection.open": ("connection.open-ok", ""),
    "connection.close": ("connection.close-ok",),
    "channel.open": ("channel.open-ok", ""),
    "channel.close": ("channel.close-ok",),
    "confirm.select": ("confirm.select-ok",),
    "exchange.declare": ("exchange.declare-ok",),
    "queue.bind": ("queue.bind-ok",),
    "queue.unbind": ("queue.unbind-ok",),
    "basic.qos": ("basic.qos-ok",),
    "basic.consume": ("basic.consume-ok", "tag"),
    "basic.cancel": ("basic.cancel-ok", "tag"),
}


class BrokerTransport(StringTransport):
    """The transport of one client connection, with the broker at its other end."""

    def __init__(self, broker: MemoryBroker) -> None:
        super().__init__(peerAddress=IPv4Address("TCP", "192.0.2.1", 5672))
        self.protocol: Any = None
        self.methods: list[str] = []
        self._broker = broker
        self._published: dict[int, int] = {}
        self._pending: tuple[str, str] = ("", "")

    def write(self, data: bytes) -> None:
        self._broker.clock.callLater(0, self._receive, data)

    def loseConnection(self) -> None:
        self._broker.clock.callLater(0, self.drop, ConnectionDone())

    def abortConnection(self) -> None:
        self._broker.clock.callLater(0, self.drop, ConnectionLost())

    def drop(self, reason: Exception) -> None:
        """End the connection."""
        if self in self._broker.connections:
            self._broker.connections.remove(self)
            self.protocol.connectionLost(Failure(reason))

    def send(self, data: bytes) -> None:
        """Let the client receive bytes, unless the connection has ended."""
        if self in self._broker.connections:
            self.protocol.dataReceived(data)

    def _receive(self, data: bytes) -> None:
        if self._broker.silent:
            return
        if data == frame_writer.PROTOCOL_HEADER:
            self.send(START)
            return
        while data:
            size = struct.unpack_from("!BHI", data)[2] + frame_writer.OVERHEAD
            self._handle(frame_writer.unpack(SPEC, data[:size]))
            data = data[size:]

    def _handle(self, frame: Frame) -> None:
        payload = frame.payload
        if isinstance(payload, Body):
            self._broker.published.append((*self._pending, orjson.loads(payload.content)))
        if not isinstance(payload, Method):
            return
        name = f"{payload.method.klass.name}.{payload.method.name}"
        self.methods.append(name)
        arguments = dict(zip([field.name for field in payload.method.fields], payload.args, strict=True))
        if name == "queue.declare":
            self.send(method("queue.declare-ok", arguments["queue"], 0, 0, channel=frame.channel))
        elif name == "basic.publish":
            self._pending = (arguments["exchange"], arguments["routing-key"])
            self._published[frame.channel] = number = self._published.get(frame.channel, 0) + 1
            if self._broker.confirming:
                self.send(method("basic.ack", number, False, channel=frame.channel))
        elif name in RESPONSES:
            if name == "basic.consume":
                self._broker.consumers[arguments["queue"]] = (self, frame.channel)
            response, *values = RESPONSES[name]
            self.send(method(response, *values, channel=frame.channel))


@implementer(IStreamClientEndpoint)
class MemoryEndpoint:
    """Connects to the broker, or fails."""

    def __init__(self, broker: MemoryBroker, error: Exception | None) -> None:
        self._broker = broker
        self._error = error

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        if self._error is not None:
            return fail(self._error)
        transport = BrokerTransport(self._broker)
        protocol = transport.protocol = protocolFactory.buildProtocol(transport.getPeer())
        assert protocol is not None
        self._broker.connections.append(transport)
        protocol.makeConnection(transport)
        return succeed(protocol)


class MemoryBroker:
    """All brokers of a test.

    `errors` has the hosts that cannot be reached; a `silent` broker answers nothing.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.connections: list[BrokerTransport] = []
        self.attempts: list[str] = []
        self.errors: dict[str, Exception] = {}
        self.silent = False
        self.confirming = True
        self.published: list[tuple[str, str, dict[str, Any]]] = []
        self.consumers: dict[str, tuple[BrokerTransport, int]] = {}

    def endpoint_for(self, _reactor: object, uri: AmqpUri) -> IStreamClientEndpoint:
        """Stands in for `failover_endpoint.endpoint_for`."""
        self.attempts.append(uri.host)
        return MemoryEndpoint(self, self.errors.get(uri.host))

    def deliver(self, queue: str, exchange: str, routing_key: str, body: bytes) -> None:
        """Deliver a message to the consumer of a queue."""
        transport, channel = self.consumers[queue]
        basic = SPEC.classes.byname["basic"]
        transport.send(
            method("basic.deliver", "tag", 1, False, exchange, routing_key, channel=channel)
            + frame_writer.frame(
                frame_writer.HEADER, channel, frame_writer.header_payload(basic, len(body), {})
            )
            + frame_writer.frame(frame_writer.BODY, channel, body)
        )

    def drop_all(self) -> None:
        """End every connection without a word."""
        for transport in list(self.connections):
            transport.drop(ConnectionLost())

    def settle(self, until: Callable[[], object] = lambda: False) -> None:
        """Let everything happen that is due now."""
        while not until() and any(
            call.getTime() <= self.clock.seconds() for call in self.clock.getDelayedCalls()
        ):
            self.clock.advance(0)
