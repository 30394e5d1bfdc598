"""A connection to a broker: txAMQP's client with the project's frame reader, frame writer and errors."""

from __future__ import annotations

import platform
import struct
from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.defer import Deferred, TimeoutError, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from txamqp.client import Closed, TwistedDelegate
from txamqp.connection import Frame
from txamqp.protocol import AMQClient

from kazoo_bridge import __version__
from kazoo_bridge.bus.amqp.connection.channel import BrokerChannel
from kazoo_bridge.bus.amqp.connection.request_watch import REQUEST_TIMEOUT, RequestWatch
from kazoo_bridge.bus.amqp.wire.errors import ConnectionGone, FieldError, FrameError, close_error
from kazoo_bridge.bus.amqp.wire.frame_reader import DEFAULT_FRAME_MAX, DEFAULT_MAX_BODY_BYTES, FrameReader
from kazoo_bridge.bus.amqp.wire.frame_writer import HEARTBEAT_FRAME, PROTOCOL_HEADER, pack, unpack
from kazoo_bridge.bus.amqp.wire.spec import amqp_0_9_1

CAPABILITIES = (
    "publisher_confirms",
    "consumer_cancel_notify",
    "basic.nack",
    "connection.blocked",
    "exchange_exchange_bindings",
    "authentication_failure_close",
)
#: Channels of a connection when the broker sets no limit.
_DEFAULT_CHANNEL_MAX = 0xFFFF
#: Half intervals without a received byte after which the peer counts as dead.
_MAX_SILENT_CHECKS = 4


def client_properties(connection_name: str) -> dict[str, Any]:
    """Return what the broker learns about this client and shows on its management page."""
    return {
        "product": "kazoo_bridge",
        "version": __version__,
        "platform": f"Python {platform.python_version()}",
        "connection_name": connection_name,
        "capabilities": dict.fromkeys(CAPABILITIES, True),
    }


class Heartbeat:
    """Checks twice in every `interval` (seconds) whether something was sent and received.

    The owner sets `sent` and `received`. `on_idle` is called when nothing was sent since the previous check,
    `on_dead` once when nothing was received for two intervals.
    """

    def __init__(
        self, clock: IReactorTime, interval: float, on_idle: Callable[[], None], on_dead: Callable[[], None]
    ) -> None:
        self.sent = True
        self.received = True
        self._clock = clock
        self._half_interval = interval / 2
        self._on_idle = on_idle
        self._on_dead = on_dead
        self._silent_checks = 0
        self._timer: IDelayedCall | None = clock.callLater(self._half_interval, self._check)

    def stop(self) -> None:
        """Check no more."""
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()

    def _check(self) -> None:
        self._silent_checks = 0 if self.received else self._silent_checks + 1
        if self._silent_checks >= _MAX_SILENT_CHECKS:
            self._timer = None
            self._on_dead()
            return
        self.received = False
        if not self.sent:
            self._on_idle()
        self.sent = False
        self._timer = self._clock.callLater(self._half_interval, self._check)


class BrokerDelegate(TwistedDelegate):  # type: ignore[misc] # txAMQP has no types
    """Responds to the methods that the broker sends on its own account, each in the method of its name."""

    def connection_start(self, ch: Any, msg: Any) -> None:
        """Log in."""
        self.client.server_properties = msg.server_properties
        ch.connection_start_ok(
            client_properties=self.client.client_properties,
            mechanism=self.client.mechanism,
            response=self.client.response,
            locale=self.client.locale,
        )

    def connection_tune(self, ch: Any, msg: Any) -> None:
        """Agree upon limits; 0 in the broker's offer means that it has none."""
        frame_max = min(msg.frame_max or DEFAULT_FRAME_MAX, DEFAULT_FRAME_MAX)
        wanted = self.client.wanted_heartbeat
        heartbeat = min(wanted, msg.heartbeat) if msg.heartbeat else wanted
        ch.connection_tune_ok(msg.channel_max, frame_max, heartbeat)
        self.client.on_tuned(msg.channel_max or _DEFAULT_CHANNEL_MAX, frame_max, heartbeat)
        self.client.started.fire()

    def connection_blocked(self, ch: Any, msg: Any) -> None:
        """Note that the broker accepts no messages."""
        self.client.set_blocked(msg.reason or "no reason given")

    def connection_unblocked(self, ch: Any, msg: Any) -> None:
        """Note that the broker accepts messages again."""
        self.client.set_blocked(None)

    def basic_cancel(self, ch: Any, msg: Any) -> None:
        """End the channel's consumer."""
        self.client.on_consumer_cancelled(ch.id)
        if not msg.nowait:
            ch.basic_cancel_ok(consumer_tag=msg.consumer_tag)


class BrokerConnection(AMQClient):  # type: ignore[misc] # txAMQP has no types
    """One connection to a broker.

    `heartbeat` is the wanted interval in seconds (0: none), `max_body_bytes` limits the body of a received
    message. `on_blocked` is called with the broker's reason when it stops accepting messages, and with None
    when it accepts them again. `unresponsive` is set after the broker has not answered a request in time.
    """

    log = Logger()
    channelClass = BrokerChannel

    def __init__(
        self,
        clock: IReactorTime,
        vhost: str = "/",
        *,
        connection_name: str = "kazoo_bridge",
        heartbeat: int = 0,
        max_body_bytes: int = DEFAULT_MAX_BODY_BYTES,
        on_blocked: Callable[[str | None], None] = lambda _reason: None,
    ) -> None:
        super().__init__(BrokerDelegate(), vhost, amqp_0_9_1(), heartbeat=0, clock=clock)
        self.reader = FrameReader(self._handle_other_frame, max_body_bytes)
        self.client_properties = client_properties(connection_name)
        self.server_properties: Mapping[str, Any] = {}
        self.wanted_heartbeat = heartbeat
        self.blocked: str | None = None
        self.close_reason: Closed | None = None
        self.unresponsive = False
        self.lost: Failure = Failure(ConnectionGone("not lost yet"))
        self._on_blocked = on_blocked
        self._heartbeat: Heartbeat | None = None
        self._request_watch = RequestWatch(
            clock, self.channels, lambda: self.blocked is not None, self._on_requests_stuck
        )
        self._channel_max = _DEFAULT_CHANNEL_MAX

    # -- logging in and out ---------------------------------------------------------------------

    async def login(self, user: str, password: str) -> None:
        """Authenticate and open the virtual host. Raises the exceptions of `wire.errors`."""
        try:
            await self.start(b"\0" + user.encode() + b"\0" + password.encode(), "PLAIN")
        except Closed as error:
            # Which of txAMQP's waiters learns of the end first is chance; the first reason is the true one.
            raise (self.close_reason or close_error(error)) from None
        if self.close_reason is not None:
            raise self.close_reason

    async def open_channel(self) -> BrokerChannel:
        """Open a channel. Raises the exceptions of `wire.errors`."""
        if self.close_reason is not None:
            raise self.close_reason
        number = next((n for n in range(1, self._channel_max + 1) if n not in self.channels), None)
        if number is None:
            raise ConnectionGone("the broker allows no more channels")
        channel: BrokerChannel = await self.channel(number)
        await channel.channel_open()
        return channel

    async def close_channel(self, channel: BrokerChannel) -> None:
        """Close a channel with the handshake; does nothing when it is closed."""
        if channel.closed:
            return
        try:
            await channel.channel_close(reply_code=200, reply_text="done")
        except Closed:
            return
        channel.close(ConnectionGone("the channel was closed from this side"))
        self._forget(channel.id)

    async def close_gracefully(self, timeout: float) -> None:
        """Close the connection with the handshake, unless that takes longer than `timeout` seconds."""
        gone = self.disconnected.wait()
        if self.close_reason is None:
            try:
                channel = await self.channel(0)
                await channel.connection_close(reply_code=200, reply_text="shutting down").addTimeout(
                    timeout, self.clock
                )
            except (Closed, TimeoutError):
                pass
        self.do_close(ConnectionGone("closed from this side"))
        try:
            await gone.addTimeout(timeout, self.clock)
        except TimeoutError:
            self.transport.abortConnection()

    def abort(self, reason: str) -> None:
        """Close the connection at once. `reason` becomes the text of `close_reason`."""
        self.do_close(ConnectionGone(reason))
        self.transport.abortConnection()

    def write(self, data: bytes) -> None:
        """Send complete frames. Does nothing once the connection is closed."""
        if self.close_reason is None:
            if self._heartbeat is not None:
                self._heartbeat.sent = True
            self.transport.write(data)

    # -- called by the delegate -----------------------------------------------------------------

    def on_tuned(self, channel_max: int, frame_max: int, heartbeat: int) -> None:
        """Apply the agreed limits: channels, bytes of a frame, and the heartbeat interval in seconds."""
        self._channel_max = channel_max
        self.MAX_LENGTH = self.reader.max_frame_bytes = frame_max
        self._request_watch.start()
        if heartbeat:
            self._heartbeat = Heartbeat(
                self.clock,
                heartbeat,
                on_idle=lambda: self.write(HEARTBEAT_FRAME),
                on_dead=lambda: self.abort(f"the broker gave no sign of life for {2 * heartbeat} seconds"),
            )

    def set_blocked(self, reason: str | None) -> None:
        """Note why the broker accepts no messages; None: it accepts them again."""
        self.blocked = reason
        self._on_blocked(reason)

    def on_consumer_cancelled(self, channel: int) -> None:
        """Notify the channel's receiver that the broker has ended its consumer."""
        receiver = self.reader.receiver(channel)
        if receiver is not None:
            receiver.on_cancelled()

    # -- overridden parts of txAMQP -------------------------------------------------------------

    def connectionMade(self) -> None:
        """Send the protocol header."""
        self.transport.write(PROTOCOL_HEADER)

    def dataReceived(self, data: bytes) -> None:
        """Read what was received; what is not AMQP closes the connection."""
        if self._heartbeat is not None:
            self._heartbeat.received = True
        try:
            self.reader.feed(data)
        except (FrameError, FieldError, IndexError, struct.error) as error:
            self._protocol_error(error)

    def send_frame(self, frame: Frame) -> None:
        """Send one of txAMQP's frames."""
        self.write(pack(frame))

    def _pack_frame(self, frame: Frame) -> bytes:
        return pack(frame)

    def _unpack_frame(self, data: bytes) -> Frame:
        return unpack(self.spec, data)

    def _handle_other_frame(self, data: bytes) -> None:
        frame = self._unpack_frame(data)
        if frame.payload.type != Frame.HEARTBEAT:
            self.process_frame(frame).addErrback(self._on_frame_failed)

    def _on_frame_failed(self, failure: Failure) -> None:
        if self.close_reason is None:
            self.log.failure("handling a frame of the broker failed", failure)
            self.abort("what the broker sent could not be handled")

    def _on_requests_stuck(self, channel: int) -> None:
        self.abort(
            f"the broker has not answered a request on channel {channel} for {REQUEST_TIMEOUT:g} seconds"
        )

    def _protocol_error(self, error: Exception) -> None:
        if self.close_reason is None:
            text = str(error) or "a frame is cut short"
            self.log.error("closing the connection to the broker: {reason}", reason=text)
            self.abort(text)

    def close(self, reason: Any = None, within: float = 0) -> Deferred[None]:
        """Called by txAMQP with the failure when it could not handle a frame."""
        if isinstance(reason, Failure):
            self._on_frame_failed(reason)
        self.do_close(reason if reason is not None else ConnectionGone("closed from this side"))
        return succeed(None)

    def do_close(self, reason: Any) -> None:
        """Send and expect nothing more, and fail every waiting call with `reason`."""
        if self.close_reason is None:
            self.close_reason = close_error(reason)
        self._request_watch.stop()
        if self._heartbeat is not None:
            self._heartbeat.stop()
        self.reader.stop()
        for channel in list(self.channels.values()):
            channel.close(self.close_reason)
        self.channels.clear()
        self.delegate.close(self.close_reason)

    def connectionLost(self, reason: Failure) -> None:
        """Close, and fire `disconnected`."""
        self.lost = reason
        self.do_close(reason)
        self.disconnected.fire()

    def channel_failed(self, channel: BrokerChannel, reason: Failure) -> None:
        """Called by txAMQP when the broker has closed a channel."""
        self._forget(channel.id)

    def _forget(self, channel: int) -> None:
        self.channels.pop(channel, None)
        self.reader.forget(channel)
