"""Connections that end when they are told to."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.protocol import connectionDone
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure
from zope.interface import implementer

#: Seconds that a peer is given to take leave (to read what it was sent, to answer TLS's close); then the connection is cut.
CLOSE_TIMEOUT = 1.0


class BoundedCloseTransport(ProtocolWrapper):
    """A transport whose `loseConnection` is done within `CLOSE_TIMEOUT`, whatever the peer does."""

    _timer: IDelayedCall | None = None

    def loseConnection(self) -> None:
        """Close politely, and cut the connection if that leads nowhere."""
        if self._timer is None and self.wrappedProtocol is not None:
            self._timer = self.factory.reactor.callLater(CLOSE_TIMEOUT, self._abort)
            super().loseConnection()

    def stopProducing(self) -> None:
        """As `loseConnection`: nobody wants to read any more."""
        self.loseConnection()

    def abortConnection(self) -> None:
        """Cut the connection."""
        self.transport.abortConnection()  # type: ignore[union-attr]

    def _abort(self) -> None:
        self._timer = None
        self.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """It has ended."""
        if self._timer is not None:
            self._timer.cancel()

        super().connectionLost(reason)


class _BoundedCloseFactory(WrappingFactory[BoundedCloseTransport]):
    protocol = BoundedCloseTransport
    noisy = False

    def __init__(self, reactor: Any, wrapped: IProtocolFactory) -> None:
        super().__init__(wrapped)
        self.reactor = reactor


@implementer(IStreamClientEndpoint)
class BoundedCloseEndpoint:
    """The endpoint's connections, made `BoundedCloseTransport`."""

    def __init__(self, reactor: Any, endpoint: IStreamClientEndpoint) -> None:
        self._reactor = reactor
        self._endpoint = endpoint

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """As the endpoint's own; fires with the factory's protocol, not with what is wrapped around it."""
        connected: Any = self._endpoint.connect(_BoundedCloseFactory(self._reactor, protocolFactory))
        done: Deferred[IProtocol] = connected.addCallback(lambda wrapper: wrapper.wrappedProtocol)
        return done
