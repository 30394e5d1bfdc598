"""Produces a request's body from memory."""

from __future__ import annotations

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IConsumer
from twisted.web.iweb import IBodyProducer
from zope.interface import implementer


@implementer(IBodyProducer)
class BytesProducer:
    """Produces `body`, any number of times.

    It is written at once, unlike by the producers of treq and Twisted, which take a turn of the reactor: the
    agent sends head and body together, and keeps back what a connection does not take.
    """

    def __init__(self, body: bytes) -> None:
        self._body = body
        self.length = len(body)

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        """Write the body; fires at once."""
        consumer.write(self._body)
        return succeed(None)

    def pauseProducing(self) -> None:
        """Do nothing: the body is written."""

    def resumeProducing(self) -> None:
        """Do nothing: the body is written."""

    def stopProducing(self) -> None:
        """Do nothing: the body is written."""
