"""Pings, which show whether a client is still there."""

from __future__ import annotations

from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from kazoo_bridge.websockets.server.tcp_progress import TcpProgress

#: Bytes that a client must have received since the previous check to count as alive without an answer: more
#: than a ping, which the system of a client receives even when its program hangs.
MIN_PROGRESS_BYTES = 512


class PingedSocket(Protocol):
    """A socket with a `PingSchedule`."""

    def send_ping(self) -> bool:
        """Send a ping, and return True; or return False while earlier data waits in this process."""

    def measure_progress(self) -> TcpProgress | None:
        """Return what the client has received, see `tcp_progress`."""

    def on_dead(self) -> None:
        """Close the connection: the client is gone. It is called once."""


class PingSchedule:
    """Sends a ping every `interval` seconds, and finds out when the client is gone.

    A client is alive if anything arrived from it since the previous check. A ping behind megabytes for a slow
    client cannot be answered before they have arrived: until then, the client is alive if it has received at
    least `MIN_PROGRESS_BYTES` since the previous check.
    """

    __slots__ = (
        "_call",
        "_clock",
        "_expects_pong",
        "_interval",
        "_is_alive",
        "_is_ping_received",
        "_is_ping_sent",
        "_received",
        "_socket",
    )

    def __init__(self, clock: IReactorTime, interval: float, socket: PingedSocket) -> None:
        self._clock = clock
        self._interval = interval
        self._socket = socket
        self._is_alive = True
        self._is_ping_sent = False
        self._is_ping_received = False
        self._expects_pong = False
        self._received = 0
        self._call: IDelayedCall | None = None

    def start(self) -> None:
        """Start the checks; the first ping follows after the interval."""
        self._call = self._clock.callLater(self._interval, self._check)

    def stop(self) -> None:
        """Stop, and leave no delayed call."""
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def heard(self) -> None:
        """Note that something has arrived from the client."""
        self._is_alive = True

    def take_pong(self) -> bool:
        """Return whether a pong is the first since the latest ping."""
        expected, self._expects_pong = self._expects_pong, False
        return expected

    def _check(self) -> None:
        self._call = None
        is_excused = self._has_progressed()
        if self._is_alive or not self._is_ping_sent:
            # A ping that can be sent at last is progress as well: earlier data has left this process.
            is_excused = self._ping() or self._is_alive or is_excused
            self._is_alive = False
        if is_excused:
            self._call = self._clock.callLater(self._interval, self._check)
        else:
            self._socket.on_dead()

    def _ping(self) -> bool:
        self._is_ping_sent = self._socket.send_ping()
        self._is_ping_received = False
        self._expects_pong = self._expects_pong or self._is_ping_sent
        return self._is_ping_sent

    def _has_progressed(self) -> bool:
        """Return whether the client has received something, and not yet the ping at the previous check."""
        progress = self._socket.measure_progress()
        if progress is None:
            return False
        received, self._received = progress.received - self._received, progress.received
        was_ping_received, self._is_ping_received = self._is_ping_received, progress.is_drained
        return received >= MIN_PROGRESS_BYTES and not was_ping_received
