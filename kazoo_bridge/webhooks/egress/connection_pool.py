"""Sends requests over connections that are kept open for the next ones.

`ConnectionPool` owns all connections to receivers, and `PooledExchange` is one request on its way. On an idle
connection a request is written at once, without a `Deferred` or a delayed call; one periodic call looks at
all time-outs. The rare cases (no connection, a stale one, a time-out) leave this path.
"""

from __future__ import annotations

from typing import Any, Protocol

from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IAddress, IDelayedCall, IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.client import ResponseNeverReceived

from kazoo_bridge.webhooks.egress.destination import Origin
from kazoo_bridge.webhooks.egress.own_faults import OwnWaitCancelled, WaitTimedOut
from kazoo_bridge.webhooks.egress.receiver_connection import ReceiverConnection
from kazoo_bridge.webhooks.egress.receiver_response import ReceiverResponse
from kazoo_bridge.webhooks.egress.timeouts import Timeouts

_log = Logger()

#: Seconds after which a connection is used no more, so that a receiver that moves to another address, or
#: behind a denied one, is looked up again.
MAX_CONNECTION_AGE = 300.0

#: Seconds within which a receiver that has closed an idle connection refuses the request sent meanwhile. One
#: that closes later may have begun to process the request.
STALE_TIMEOUT = 2.0

#: Seconds that a peer has to finish closing (read what is buffered, answer TLS's close_notify); then the
#: connection is aborted.
CLOSE_TIMEOUT = 1.0

#: Seconds between two looks at time-outs, while a connection is open or a request on its way.
TICK_INTERVAL = 0.05


class OriginEndpoints(Protocol):
    """Makes the endpoints that a pool connects with."""

    def endpoint_for(self, origin: Origin) -> IStreamClientEndpoint:
        """Return an endpoint that connects to `origin`, and fails with errors of receivers or this node."""


class PooledExchange:
    """One request and its response, started with `ConnectionPool.start`.

    `data` is the complete request, head and body. A subclass implements `on_response` and `on_failure`; one
    of them is called once, not before `ConnectionPool.start` has returned, and neither after `cancel`.

    A receiver may close an idle connection just when a request is sent on it. The request, of any method, is
    sent once more on a new connection if the connection ends before a byte of the response, and either the
    request was not sent completely or at most `STALE_TIMEOUT` seconds passed: it was most probably not
    processed then. Receivers recognise a repetition by its ``webhook-id``.
    """

    __slots__ = (
        "_connecting",
        "_connection",
        "_is_late",
        "_is_over",
        "_is_starting",
        "_may_be_stale",
        "_pool",
        "_sent_at",
        "data",
        "head_only",
        "origin",
        "started_at",
        "timeout",
    )

    def __init__(
        self,
        pool: ConnectionPool,
        origin: Origin,
        data: bytes,
        timeout: float | None,
        head_only: bool = False,
    ) -> None:
        self.origin = origin
        self.data = data
        self.timeout = timeout
        self.head_only = head_only
        self._pool = pool
        self._connection: ReceiverConnection | None = None
        self._connecting: Deferred[Any] | None = None
        self.started_at = self._sent_at = 0.0
        self._may_be_stale = self._is_starting = self._is_late = self._is_over = False

    def on_response(self, response: ReceiverResponse) -> None:
        """Receive the response."""
        raise NotImplementedError

    def on_failure(self, error: BaseException) -> None:
        """Receive the reason why there is no response.

        It is what connecting failed with (see `PermittedEndpoint.connect`), a `ResponseFailed` or
        `RequestTransmissionFailed` of Twisted, a `TimeoutError`, or `WaitTimedOut`.
        """
        raise NotImplementedError

    def cancel(self) -> None:
        """Close the connection, or stop connecting. Nothing is called any more."""
        if not self._is_over:
            self._end()
            self._stop()

    def interrupt(self) -> None:
        """Fail the request with `CancelledError`, or with what its cancelled connecting fails with."""
        self._stop()
        if self._connection is not None:
            self._fail(CancelledError())

    def expire(self) -> None:
        """Fail the request, as its time is over."""
        self._is_late = True
        self.interrupt()

    def _stop(self) -> None:
        if self._connection is not None:
            self._connection.abort()
        elif self._connecting is not None:
            self._connecting.cancel()

    # -- connecting

    def send_on(self, connection: ReceiverConnection, now: float, *, was_idle: bool) -> None:
        """Send the request, `now`. The receiver may have closed a connection that `was_idle`."""
        self._connection = connection
        self._sent_at = now
        self._may_be_stale = was_idle
        connection.send(self, self.data, self.head_only)

    def connect(self, now: float) -> None:
        """Open a connection, `now`, and send the request on it."""
        self._connection = None
        self._is_starting = True
        self._sent_at = now
        connecting: Any = self._pool.open(self.origin)
        self._connecting = connecting
        connecting.addCallbacks(self._connected, self._connect_failed)
        connecting.addErrback(_log_defect)
        self._is_starting = False

    def _connected(self, connection: ReceiverConnection) -> None:
        self._connecting = None
        if self._is_over or self._is_late or connection.is_lost:
            connection.abort()
            self._fail(ResponseNeverReceived([Failure(ConnectionLost())]))
            return
        self._pool.opened(connection, self._sent_at)
        self.send_on(connection, self._pool.clock.seconds(), was_idle=False)

    def _connect_failed(self, failure: Failure) -> None:
        self._connecting = None
        error = failure.value or CancelledError()
        if self._is_starting:
            # Not before the caller knows the exchange.
            self._pool.clock.callLater(0, self._fail, error)
        else:
            self._fail(error)

    # -- called by the connection

    def response_received(self, response: ReceiverResponse) -> None:
        """End the request."""
        self._end()
        self.on_response(response)

    def connection_failed(self, error: Exception) -> None:
        """Send the request once more if its connection was stale, else end it."""
        connection, now = self._connection, self._pool.clock.seconds()
        if (
            self._may_be_stale
            and connection is not None
            and not connection.response_began
            and (not connection.request_sent or now - self._sent_at <= STALE_TIMEOUT)
        ):
            self._may_be_stale = False
            self.connect(now)
        else:
            self._fail(error)

    # -- the end

    def _fail(self, error: BaseException) -> None:
        if self._is_over:
            return
        self._end()
        if self._is_late:
            # Cancelling fails with any error of the cancelled step.
            error = WaitTimedOut() if isinstance(error, OwnWaitCancelled) else TimeoutError()
        self.on_failure(error)

    def _end(self) -> None:
        self._is_over = True
        self._pool.ended(self)


def _log_defect(failure: Failure) -> None:
    _log.failure("a request could not be ended", failure=failure)


class _ConnectionFactory(Factory):
    noisy = False

    def __init__(self, pool: ConnectionPool, origin: Origin) -> None:
        self._pool = pool
        self._origin = origin

    def buildProtocol(self, addr: IAddress | None) -> ReceiverConnection:
        """Return a connection."""
        return ReceiverConnection(self._pool, self._origin)


@define(eq=False)
class ConnectionPool:
    """The connections to receivers, by origin.

    `endpoints` opens connections. All hooks of one origin share its connections; as many are kept as were in
    use at once. An idle connection is closed after `idle_timeout` seconds (0: no connection is kept), and the
    one that has been idle for longest if more than `max_idle` are. The connection that was used last is used
    first, so that what is not needed becomes idle. Every connection closes within `CLOSE_TIMEOUT`, whatever
    its peer does.
    """

    clock: IReactorTime
    _endpoints: OriginEndpoints
    _idle_timeout: float
    _max_idle: int
    _idle: dict[Origin, list[ReceiverConnection]] = field(init=False, factory=dict)
    #: Since when connections are idle, the one that has been idle for longest first.
    _idle_since: dict[ReceiverConnection, float] = field(init=False, factory=dict)
    #: Since when connections are open, the oldest first.
    _open_since: dict[ReceiverConnection, float] = field(init=False, factory=dict)
    #: When closing connections are aborted.
    _closing: dict[ReceiverConnection, float] = field(init=False, factory=dict)
    _timeouts: Timeouts[PooledExchange] = field(init=False, factory=Timeouts)
    _timer: IDelayedCall | None = field(init=False, default=None)
    _is_closed: bool = field(init=False, default=False)
    _closed: list[tuple[set[ReceiverConnection], Deferred[None]]] = field(init=False, factory=list)

    @property
    def persistent(self) -> bool:
        """Whether connections are kept. Requests ask receivers to close them otherwise."""
        return self._idle_timeout > 0

    @property
    def idle_count(self) -> int:
        """How many connections are idle."""
        return len(self._idle_since)

    @property
    def open_count(self) -> int:
        """How many connections are open, with those that are being closed."""
        return len(self._open_since)

    def start(self, exchange: PooledExchange) -> None:
        """Send a request: at once if a connection to its origin is idle, else when one has been opened.

        The request fails after the exchange's time-out, which covers connecting too.
        """
        now = exchange.started_at = self.clock.seconds()
        if exchange.timeout is not None:
            self._timeouts.add(exchange, exchange.timeout, now)
        if self._timer is None:
            self._timer = self.clock.callLater(TICK_INTERVAL, self._tick)
        idle = self._idle.get(exchange.origin)
        if idle:
            connection = idle.pop()
            del self._idle_since[connection]
            exchange.send_on(connection, now, was_idle=True)
        else:
            exchange.connect(now)

    def close(self) -> Deferred[None]:
        """Close the idle connections now, and each other one after its request; fires when the former are."""
        self._is_closed = True
        for connection in list(self._idle_since):
            self._take(connection)
            connection.abort()
        closed: Deferred[None] = Deferred()
        self._closed.append((set(self._closing), closed))
        self._report_closed()
        return closed

    # -- called by exchanges

    def open(self, origin: Origin) -> Deferred[Any]:
        """Open a connection. Fails like the endpoint."""
        opening: Deferred[Any] = self._endpoints.endpoint_for(origin).connect(
            _ConnectionFactory(self, origin)
        )
        return opening

    def opened(self, connection: ReceiverConnection, since: float) -> None:
        """Note a new connection, judged at `since`."""
        self._open_since[connection] = since

    def ended(self, exchange: PooledExchange) -> None:
        """Forget an exchange's time-out."""
        if exchange.timeout is not None:
            self._timeouts.remove(exchange, exchange.timeout)
        if not self._open_since:
            self._stop_ticking()

    # -- called by connections

    def connection_idle(self, connection: ReceiverConnection) -> None:
        """Keep a connection for the next request."""
        now = self.clock.seconds()
        is_old = now >= self._open_since[connection] + MAX_CONNECTION_AGE
        if is_old or self._is_closed or self._idle_timeout <= 0:
            connection.close()
            return
        try:
            self._idle[connection.origin].append(connection)
        except KeyError:
            self._idle[connection.origin] = [connection]
        self._idle_since[connection] = now
        if len(self._idle_since) > self._max_idle:
            self._drop(next(iter(self._idle_since)))

    def connection_closing(self, connection: ReceiverConnection) -> None:
        """Abort the connection after `CLOSE_TIMEOUT`."""
        self._closing.setdefault(connection, self.clock.seconds() + CLOSE_TIMEOUT)

    def connection_lost(self, connection: ReceiverConnection) -> None:
        """Forget a closed connection."""
        self._open_since.pop(connection, None)
        self._closing.pop(connection, None)
        if connection in self._idle_since:
            self._take(connection)
        if not self._idle.get(connection.origin, True):
            del self._idle[connection.origin]
        self._report_closed()
        if not self._open_since:
            self._stop_ticking()

    def _report_closed(self) -> None:
        waiting, self._closed = self._closed, []
        for connections, closed in waiting:
            connections &= self._closing.keys()
            if connections:
                self._closed.append((connections, closed))
            else:
                closed.callback(None)

    def _drop(self, connection: ReceiverConnection) -> None:
        self._take(connection)
        connection.close()

    def _take(self, connection: ReceiverConnection) -> None:
        del self._idle_since[connection]
        self._idle[connection.origin].remove(connection)

    # -- time

    def _tick(self) -> None:
        self._timer = None
        now = self.clock.seconds()
        try:
            for exchange in self._timeouts.expire(now):
                exchange.expire()
            self._close_expired(now)
            for connection, deadline in list(self._closing.items()):
                if deadline <= now:
                    connection.abort()
        finally:
            if self._timer is None and (self._open_since or self._timeouts):
                self._timer = self.clock.callLater(TICK_INTERVAL, self._tick)

    def _close_expired(self, now: float) -> None:
        while self._idle_since:
            connection, since = next(iter(self._idle_since.items()))
            if since + self._idle_timeout > now:
                break
            self._drop(connection)
        expired = []
        for connection, since in self._open_since.items():
            if since + MAX_CONNECTION_AGE > now:
                break
            if connection in self._idle_since:
                expired.append(connection)
        for connection in expired:
            self._drop(connection)

    def _stop_ticking(self) -> None:
        if self._timer is not None and not self._timeouts:
            self._timer.cancel()
            self._timer = None
