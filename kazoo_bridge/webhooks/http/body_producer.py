"""Writes a request's body, at once if it is short.

Twisted keeps a connection for the next request only if the request was written completely before its response
came. Producers that write in a later turn of the reactor lose that race to fast receivers.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer
from twisted.web.iweb import IBodyProducer
from zope.interface import implementer

#: Bytes that are written at once; then the connection may ask for a pause.
_CHUNK_BYTES = 64 * 1024


@implementer(IBodyProducer)
class BytesProducer:
    """Produces `body`, any number of times but one at a time.

    A connection that does not take more asks for a pause: what a receiver does not read stays here.
    """

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._position = 0
        self._paused = False
        self._consumer: IConsumer | None = None
        self._done: Deferred[None] | None = None
        self.length = len(body)

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        """Write the body; fires when it is written and the connection does not ask for a pause."""
        self._position, self._paused, self._consumer = 0, False, consumer
        done = self._done = Deferred(lambda _: self.stopProducing())
        self._produce()
        return done

    def pauseProducing(self) -> None:
        """Write no more for now."""
        self._paused = True

    def resumeProducing(self) -> None:
        """Write the rest."""
        self._paused = False
        self._produce()

    def stopProducing(self) -> None:
        """Write no more: the connection is closed, or the request cancelled."""
        self._consumer = self._done = None

    def _produce(self) -> None:
        while self._consumer is not None and not self._paused and self._position < self.length:
            chunk = self._body[self._position : self._position + _CHUNK_BYTES]
            self._position += len(chunk)
            self._consumer.write(chunk)
        if self._done is not None and not self._paused and self._position >= self.length:
            done, self._done, self._consumer = self._done, None, None
            done.callback(None)
