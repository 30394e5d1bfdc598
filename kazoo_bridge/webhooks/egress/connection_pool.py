"""Keeps connections to receivers open for the next request."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

from attrs import define, field, frozen
from twisted.internet.defer import CancelledError, Deferred, fail, gatherResults, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime, IStreamClientEndpoint
from twisted.python.failure import Failure
from twisted.web._newclient import Request, RequestNotSent
from twisted.web.client import RequestTransmissionFailed, ResponseNeverReceived
from twisted.web.iweb import IResponse

from kazoo_bridge.webhooks.egress.http_connection import BoundedClient, BoundedClientFactory

#: Seconds after which a connection is used no more, so that a receiver that moves to another address, or
#: behind a denied one, is looked up again.
MAX_CONNECTION_AGE = 300.0

#: Seconds within which a receiver that has closed an idle connection refuses the request sent meanwhile. One
#: that closes later may have begun to process the request.
STALE_TIMEOUT = 2.0


@define(eq=False)
class ConnectionPool:
    """The connections of a `twisted.web.client.Agent`, by scheme, host and port.

    All hooks of one destination share its connections; as many are kept as were in use at once. An idle
    connection is closed after `idle_timeout` seconds (0: no connection is kept), and the one that has been
    idle for longest if more than `max_idle` are. The connection that was used last is used first, so that
    what is not needed becomes idle.

    A receiver may close an idle connection just when a request is sent on it. Such a request, of any method,
    is sent once more on a new connection (see `_ReusedConnection`).
    """

    _clock: IReactorTime
    _idle_timeout: float
    _max_idle: int
    _idle: dict[Hashable, list[BoundedClient]] = field(init=False, factory=dict)
    #: All idle connections, the one that has been idle for longest first: destination, and since when.
    _order: OrderedDict[BoundedClient, tuple[Hashable, float]] = field(init=False, factory=OrderedDict)
    _timer: IDelayedCall | None = field(init=False, default=None)
    _closed: bool = field(init=False, default=False)

    @property
    def persistent(self) -> bool:
        """Whether connections are kept. The agent asks receivers to close them otherwise."""
        return self._idle_timeout > 0

    @property
    def idle_count(self) -> int:
        """How many connections are idle."""
        return len(self._order)

    def getConnection(self, key: Hashable, endpoint: IStreamClientEndpoint) -> Deferred[Any]:
        """Return a connection for one request: an idle one of the destination `key`, or a new one.

        Required by the agent. Fires with an object whose `request` sends the request. Fails like `endpoint`.
        """
        while clients := self._idle.get(key):
            client = clients[-1]
            self._forget(client)
            if client.state == "QUIESCENT":
                return succeed(_ReusedConnection(self._clock, client, lambda: self._open(key, endpoint)))
        return self._open(key, endpoint)

    def close(self) -> Deferred[None]:
        """Close the idle connections now, and each other one after its request; fires when the former are."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        idle = list(self._order)
        for client in idle:
            self._forget(client)
        return gatherResults([client.abort() for client in idle]).addCallback(lambda _: None)

    def _open(self, key: Hashable, endpoint: IStreamClientEndpoint) -> Deferred[BoundedClient]:
        use_until = self._clock.seconds() + MAX_CONNECTION_AGE

        def on_idle(client: BoundedClient) -> None:
            self._put(key, client, use_until)

        opened: Any = endpoint.connect(BoundedClientFactory(on_idle, self._forget))
        connecting: Deferred[BoundedClient] = opened
        return connecting

    def _put(self, key: Hashable, client: BoundedClient, use_until: float) -> None:
        now = self._clock.seconds()
        if self._closed or not self.persistent or now >= use_until:
            _close(client)
            return
        self._idle.setdefault(key, []).append(client)
        self._order[client] = (key, now)
        if len(self._order) > self._max_idle:
            self._drop(next(iter(self._order)))
        if self._timer is None:
            self._timer = self._clock.callLater(self._idle_timeout, self._close_expired)

    def _close_expired(self) -> None:
        self._timer = None
        now = self._clock.seconds()
        while self._order:
            client, (_, since) = next(iter(self._order.items()))
            remaining = since + self._idle_timeout - now
            if remaining > 0:
                self._timer = self._clock.callLater(remaining, self._close_expired)
                return
            self._drop(client)

    def _drop(self, client: BoundedClient) -> None:
        self._forget(client)
        _close(client)

    def _forget(self, client: BoundedClient) -> None:
        """Take a connection out, if it is idle."""
        key, _ = self._order.pop(client, (None, 0.0))
        clients = self._idle.get(key)
        if clients is not None:
            clients.remove(client)
            if not clients:
                del self._idle[key]


def _close(client: BoundedClient) -> None:
    transport: Any = client.transport
    transport.loseConnection()


@frozen
class _ReusedConnection:
    """A connection that was idle, so that its receiver may have closed it before a request arrives.

    A request is sent once more, on a connection from `open_new`, if the connection ends before a byte of the
    response, and either the request was not sent completely or at most `STALE_TIMEOUT` seconds passed: it was
    most probably not processed then. Receivers recognise a repetition by its ``webhook-id``.
    """

    clock: IReactorTime
    client: BoundedClient
    open_new: Callable[[], Deferred[BoundedClient]]

    def request(self, request: Request) -> Deferred[IResponse]:
        """Send a request; fails like `BoundedClient.request`, and like opening a connection."""
        sent_at = self.clock.seconds()
        return self.client.request(request).addErrback(self._repeat, request, sent_at)

    def _repeat(self, failure: Failure, request: Request, sent_at: float) -> Deferred[IResponse]:
        if not self._was_stale(failure, self.clock.seconds() - sent_at):
            return fail(failure)
        return self.open_new().addCallback(lambda client: client.request(request))

    def _was_stale(self, failure: Failure, elapsed: float) -> bool:
        if self.client.response_began or _was_cancelled(failure):
            return False
        if failure.check(RequestNotSent, RequestTransmissionFailed):
            return True
        return bool(failure.check(ResponseNeverReceived)) and elapsed <= STALE_TIMEOUT


def _was_cancelled(failure: Failure) -> bool:
    reasons = getattr(failure.value, "reasons", ())
    return any(isinstance(reason, Failure) and reason.check(CancelledError) for reason in (failure, *reasons))
