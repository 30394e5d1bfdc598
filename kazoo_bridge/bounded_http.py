"""What the clients of CouchDB and crossbar share: a pool of connections, and bodies of a bounded size."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import HTTPConnectionPool, ResponseDone, _HTTP11ClientFactory
from twisted.web.http import PotentialDataLoss
from twisted.web.iweb import IResponse


class BodyTooLarge(Exception):
    """A body has more bytes than its reader accepts."""


class _QuietClientFactory(_HTTP11ClientFactory):
    """Logs no line for each connection."""

    noisy = False


def make_pool(reactor: Any, connections: int, keep_alive: float) -> HTTPConnectionPool:
    """Make a pool that keeps this many idle connections to a host, each for `keep_alive` seconds.

    Twisted sends a GET again when a connection that was idle is lost before the answer. With 0 `connections`
    each request has its own, and is sent once.
    """
    pool = HTTPConnectionPool(reactor, persistent=connections > 0)
    pool._factory = _QuietClientFactory
    pool.maxPersistentPerHost = connections
    pool.cachedConnectionTimeout = keep_alive  # type: ignore[assignment]
    return pool


def read_body(response: IResponse, limit: int) -> Deferred[bytes]:
    """Read the whole body of a response.

    Fails with `BodyTooLarge` if it has more than `limit` bytes, with the reason of the connection if that
    ends too early. Cancelling closes the connection.
    """
    body = _Body(limit)
    response.deliverBody(body)
    return body.whole


def abort(transport: Any) -> None:
    """Close the connection of a response's body at once, without waiting for the server."""
    # The transport of a body is a proxy, which does not offer this; over TLS loseConnection waits for the
    # server, which may never answer.
    connection = getattr(transport, "_producer", None) or transport
    getattr(connection, "abortConnection", transport.loseConnection)()


class _Body(Protocol):
    """Collects a body of at most `limit` bytes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._parts: list[bytes] = []
        self.whole: Deferred[bytes] = Deferred(lambda _: self._close())

    def dataReceived(self, data: bytes) -> None:
        if self.whole.called:
            return
        self._size += len(data)
        self._parts.append(data)
        if self._size > self._limit:
            self.whole.errback(BodyTooLarge(f"the answer has more than {self._limit} bytes"))
            self._close()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.whole.called:
            return
        if reason.check(ResponseDone, PotentialDataLoss):
            self.whole.callback(b"".join(self._parts))
        else:
            self.whole.errback(reason)

    def _close(self) -> None:
        self._parts.clear()
        if self.transport is not None:
            abort(self.transport)
