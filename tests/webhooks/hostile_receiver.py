"""Receivers that mean harm, on real sockets."""

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
from twisted.python.failure import Failure
from zope.interface import implementer

from kazoo_bridge.webhooks.egress.agent import BoundedClient

Behaviour = Callable[["Malice"], None]


@implementer(IPullProducer)
@define
class Endless:
    """Sends the same again for as long as there is a connection, and counts the bytes."""

    malice: Malice
    again: bytes

    def resumeProducing(self) -> None:
        self.malice.say(self.again)

    def stopProducing(self) -> None:
        pass


class Malice(Protocol):
    """One connection; `behave` is called once the beginning of a request has come, or at once if it `begins_at_once`."""

    def __init__(self, receiver: HostileReceiver) -> None:
        self.receiver = receiver
        self.heard = b""
        self.said = 0
        self._trickle: LoopingCall | None = None

    def connectionMade(self) -> None:
        self.receiver.open.add(self)
        self.receiver.connections += 1
        if self.receiver.begins_at_once:
            self.receiver.behave(self)

    def dataReceived(self, data: bytes) -> None:
        first, self.heard = not self.heard, self.heard + data
        if first and not self.receiver.begins_at_once:
            self.receiver.behave(self)

    def say(self, data: bytes) -> None:
        self.said += len(data)
        self.receiver.said += len(data)
        self.transport.write(data)  # type: ignore[union-attr]

    def say_for_ever(self, again: bytes) -> None:
        self.transport.registerProducer(Endless(self, again), False)  # type: ignore[union-attr]

    def trickle(self, data: bytes) -> None:
        left = iter(data)
        self._trickle = LoopingCall(lambda: self.say(bytes([next(left, 0x78)])))
        self._trickle.start(0.02)

    def close(self) -> None:
        self.transport.loseConnection()  # type: ignore[union-attr]

    def reset(self) -> None:
        self.transport.abortConnection()  # type: ignore[union-attr]

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._trickle is not None and self._trickle.running:
            self._trickle.stop()
        self.receiver.gone(self)


@define(eq=False)
class HostileReceiver(Factory):
    """Does to every connection what `behave` does."""

    behave: Behaviour
    begins_at_once: bool = False
    open: set[Malice] = field(factory=set)
    connections: int = 0
    said: int = 0
    _waiting: list[Deferred[None]] = field(factory=list)
    _port: Any = None
    noisy = False

    def buildProtocol(self, addr: Any) -> Malice:
        return Malice(self)

    async def start(self, endpoint: Any = None) -> str:
        self._port = await (endpoint or TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")).listen(self)
        return f"http://127.0.0.1:{self.port}"

    @property
    def port(self) -> int:
        port: int = self._port.getHost().port
        return port

    def gone(self, malice: Malice) -> None:
        self.open.discard(malice)
        if not self.open:
            waiting, self._waiting = self._waiting, []
            for one in waiting:
                one.callback(None)

    def all_gone(self) -> Deferred[None]:
        """Fires when no connection is open."""
        done: Deferred[None] = Deferred()
        if self.open:
            self._waiting.append(done)
            return done.addTimeout(10, reactor)  # type: ignore[arg-type]
        done.callback(None)
        return done

    async def stop(self) -> None:
        for malice in list(self.open):
            malice.reset()
        await self._port.stopListening()


async def nothing_left(calls_before: set[Any]) -> None:
    """No delayed call and no client connection has been left behind; one turn of the reactor is allowed for ends to be heard of."""
    for _ in range(3):
        await deferLater(reactor, 0)  # type: ignore[arg-type]
    assert not [call for call in reactor.getDelayedCalls() if call not in calls_before]  # type: ignore[attr-defined]
    gc.collect()
    assert not [
        one for one in gc.get_objects() if isinstance(one, BoundedClient) and one.state != "CONNECTION_LOST"
    ]
