"""A TCP server whose connections misbehave as a test prescribes."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

from attrs import define, field
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.interfaces import IPullProducer
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import LoopingCall, deferLater
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from zope.interface import implementer

from kazoo_bridge.webhooks.egress.receiver_connection import ReceiverConnection

Behaviour = Callable[["HostileConnection"], None]


@implementer(IPullProducer)
@define
class _RepeatingProducer:
    """Sends the same bytes again and again until the connection closes."""

    connection: HostileConnection
    again: bytes

    def resumeProducing(self) -> None:
        self.connection.send(self.again)

    def stopProducing(self) -> None:
        pass


class HostileConnection(Protocol):
    """One connection of a `HostileReceiver`.

    `received` are the bytes of the peer, `sent_bytes` counts those sent to it.
    """

    def __init__(self, receiver: HostileReceiver) -> None:
        self.receiver = receiver
        self.received = b""
        self.sent_bytes = 0
        self._trickle: LoopingCall | None = None

    def connectionMade(self) -> None:
        self.receiver.open_connections.add(self)
        self.receiver.connections += 1
        if self.receiver.on_connect:
            self.receiver.behave(self)

    def dataReceived(self, data: bytes) -> None:
        first, self.received = not self.received, self.received + data
        if first and not self.receiver.on_connect:
            self.receiver.behave(self)

    def send(self, data: bytes) -> None:
        self.sent_bytes += len(data)
        self.receiver.sent_bytes += len(data)
        self.transport.write(data)  # type: ignore[union-attr] # connected

    def send_forever(self, again: bytes) -> None:
        # It is connected.
        self.transport.registerProducer(_RepeatingProducer(self, again), False)  # type: ignore[union-attr]

    def trickle(self, data: bytes) -> None:
        left = iter(data)
        self._trickle = LoopingCall(lambda: self.send(bytes([next(left, 0x78)])))
        self._trickle.start(0.02)

    def close(self) -> None:
        self.transport.loseConnection()  # type: ignore[union-attr] # connected

    def reset(self) -> None:
        self.transport.abortConnection()  # type: ignore[union-attr] # connected

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._trickle is not None and self._trickle.running:
            self._trickle.stop()
        self.receiver.connection_closed(self)


@define(eq=False)
class HostileReceiver(Factory):
    """Calls `behave` with each connection.

    It does so when the first bytes arrive, or, if `on_connect` is set, when the connection is made.
    """

    behave: Behaviour
    on_connect: bool = False
    open_connections: set[HostileConnection] = field(factory=set)
    connections: int = 0
    sent_bytes: int = 0
    _waiting: list[Deferred[None]] = field(factory=list)
    _port: Any = None
    noisy = False

    def buildProtocol(self, addr: Any) -> HostileConnection:
        return HostileConnection(self)

    async def start(self, endpoint: Any = None) -> str:
        self._port = await (endpoint or TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")).listen(self)
        return f"http://127.0.0.1:{self.port}"

    @property
    def port(self) -> int:
        port: int = self._port.getHost().port
        return port

    def connection_closed(self, connection: HostileConnection) -> None:
        self.open_connections.discard(connection)
        if not self.open_connections:
            waiting, self._waiting = self._waiting, []
            for one in waiting:
                one.callback(None)

    def all_closed(self) -> Deferred[None]:
        """Fires when no connection is open."""
        done: Deferred[None] = Deferred()
        if self.open_connections:
            self._waiting.append(done)
            return done.addTimeout(10, reactor)
        done.callback(None)
        return done

    async def stop(self) -> None:
        for connection in list(self.open_connections):
            connection.reset()
        await self._port.stopListening()


async def assert_nothing_left(calls_before: set[Any]) -> None:
    """Assert that no delayed call but those of `calls_before`, and no open client connection, exists.

    The reactor runs for some turns first, so that connections that have ended are noticed.
    """
    for _ in range(3):
        await deferLater(reactor, 0)
    assert not [call for call in reactor.getDelayedCalls() if call not in calls_before]
    gc.collect()
    assert not [one for one in gc.get_objects() if isinstance(one, ReceiverConnection) and _is_open(one)]


def _is_open(connection: ReceiverConnection) -> bool:
    # Connections in memory may be kept with a logged failure.
    return not connection.is_lost and not isinstance(connection.transport, StringTransport | None)
