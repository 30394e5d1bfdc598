"""Reads the beginning of an answer's body, and lets go of the rest."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.iweb import IResponse

#: A body is of no interest beyond this many bytes; reading up to it lets the connection be used again.
MAX_BODY_BYTES = 64 * 1024


class _PrefixReader(Protocol):
    """Collects until the end or the limit, whichever is first."""

    def __init__(self, body: bytearray) -> None:
        self._body = body
        self.done: Deferred[None] = Deferred(lambda _: self._abort())

    def dataReceived(self, data: bytes) -> None:
        self._body.extend(data[: MAX_BODY_BYTES - len(self._body)])
        if len(self._body) >= MAX_BODY_BYTES and not self.done.called:
            self._abort()
            self.done.callback(None)

    def _abort(self) -> None:
        # Also when the time is over: a receiver may go on for ever, and the connection with it.
        transport: Any = self.transport
        if transport is not None:
            transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.done.called:
            return
        if reason.check(ResponseDone, PotentialDataLoss):
            self.done.callback(None)
        else:
            self.done.errback(reason)


def read_prefix(response: IResponse, body: bytearray) -> Deferred[None]:
    """Fires when `body` has all that will be kept of the answer's; fails with `ResponseFailed` when the rest does not come.

    Cancelling it closes the connection.
    """
    beginning = _PrefixReader(body)
    response.deliverBody(beginning)
    return beginning.done
