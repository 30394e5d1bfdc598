"""A connection to a broker: txAMQP's client, mended and quick at reading deliveries."""

from __future__ import annotations

import platform
import struct
from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.defer import Deferred, TimeoutError, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from txamqp.client import Closed
from txamqp.connection import Frame
from txamqp.protocol import AMQClient

from kazoo_bridge import __version__
from kazoo_bridge.bus.amqp.connection.channel import BrokerChannel, BrokerDelegate
from kazoo_bridge.bus.amqp.connection.heartbeat import Heartbeat
from kazoo_bridge.bus.amqp.wire.errors import ConnectionGone, FieldError, FrameError, close_error
from kazoo_bridge.bus.amqp.wire.frame_reader import DEFAULT_MAX_BODY_BYTES, FrameReader
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


def client_properties(connection_name: str) -> dict[str, Any]:
    """What the broker is told about this client, and shows in its management page."""
    return {
        "product": "kazoo_bridge",
        "version": __version__,
        "platform": f"Python {platform.python_version()}",
        "connection_name": connection_name,
        "capabilities": dict.fromkeys(CAPABILITIES, True),
    }


class BrokerConnection(AMQClient):  # type: ignore[misc]
    """One connection. `wanted_heartbeat` in seconds, 0: none; `largest_body` in bytes.

    Deliveries of a channel go to ``reader.receivers[channel id]``. `on_blocked` is called with the broker's reason when it
    stops taking messages, and with None when it takes them again. `silent`: the broker has not answered somebody who could not wait.
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
        largest_body: int = DEFAULT_MAX_BODY_BYTES,
    ) -> None:
        super().__init__(BrokerDelegate(), vhost, amqp_0_9_1(), heartbeat=0, clock=clock)
        self.reader = FrameReader(self._handle_other_frame, largest_body)
        self.client_properties = client_properties(connection_name)
        self.server_properties: Mapping[str, Any] = {}
        self.wanted_heartbeat = heartbeat
        self.blocked: str | None = None
        self.on_blocked: Callable[[str | None], None] = lambda _reason: None
        self.cancelled: dict[int, Callable[[str], None]] = {}
        self.close_reason: Closed | None = None
        self.silent = False
        self.lost: Failure = Failure(ConnectionGone("not lost yet"))
        self._heartbeat: Heartbeat | None = None
        self._channel_max = 0xFFFF

    # -- logging in and out ---------------------------------------------------------------------

    async def login(self, user: str, password: str) -> None:
        """Authenticate and open the vhost. Raises the exceptions of `errors`."""
        try:
            await self.start(b"\0" + user.encode() + b"\0" + password.encode(), "PLAIN")
        except Closed as error:
            # Which of txAMQP's waiters hears of the end first is chance; the first reason is the true one.
            raise (self.close_reason or close_error(error)) from None
        if self.close_reason is not None:
            raise self.close_reason

    async def open_channel(self) -> BrokerChannel:
        """A fresh channel."""
        if self.close_reason is not None:
            raise self.close_reason
        number = next((n for n in range(1, self._channel_max + 1) if n not in self.channels), None)
        if number is None:
            raise ConnectionGone("the broker allows no more channels")
        channel: BrokerChannel = await self.channel(number)
        await channel.channel_open()
        return channel

    async def close_channel(self, channel: BrokerChannel) -> None:
        """Close a channel in good order; does nothing when it is closed already."""
        if channel.closed:
            return
        try:
            await channel.channel_close(reply_code=200, reply_text="done")
        except Closed:
            return
        channel.close(ConnectionGone("the channel was closed from this side"))
        self._forget(channel.id)

    async def close_gracefully(self, within: float) -> None:
        """End the connection with the handshake; without it if the broker takes longer than `within` seconds."""
        gone = self.disconnected.wait()
        if self.close_reason is None:
            try:
                channel = await self.channel(0)
                await channel.connection_close(reply_code=200, reply_text="shutting down").addTimeout(
                    within, self.clock
                )
            except (Closed, TimeoutError):
                pass
        self.do_close(ConnectionGone("closed from this side"))
        try:
            await gone.addTimeout(within, self.clock)
        except TimeoutError:
            self.transport.abortConnection()

    def abort(self, reason: str) -> None:
        """End the connection at once."""
        self.do_close(ConnectionGone(reason))
        self.transport.abortConnection()

    def write(self, data: bytes) -> None:
        """Send whole frames. Does nothing once the connection has ended."""
        if self.close_reason is None:
            if self._heartbeat is not None:
                self._heartbeat.sent = True
            self.transport.write(data)

    # -- told by the delegate -------------------------------------------------------------------

    def on_tuned(self, channel_max: int, frame_max: int, heartbeat: int) -> None:
        """The limits are agreed upon."""
        self._channel_max = channel_max
        self.MAX_LENGTH = self.reader.largest_frame = frame_max
        if heartbeat:
            self._heartbeat = Heartbeat(
                self.clock,
                heartbeat,
                beat=lambda: self.write(HEARTBEAT_FRAME),
                dead=lambda: self.abort(f"the broker gave no sign of life for {2 * heartbeat} seconds"),
            )

    def set_blocked(self, reason: str | None) -> None:
        """The broker takes no messages, or takes them again."""
        self.blocked = reason
        self.on_blocked(reason)

    def consumer_cancelled(self, channel: int, consumer_tag: str) -> None:
        """The broker has ended a consumer, for instance because its queue was deleted."""
        told = self.cancelled.get(channel)
        if told is not None:
            told(consumer_tag)

    # -- mended parts of txAMQP -----------------------------------------------------------------

    def connectionMade(self) -> None:
        self.transport.write(PROTOCOL_HEADER)

    def dataReceived(self, data: bytes) -> None:
        if self._heartbeat is not None:
            self._heartbeat.received = True
        try:
            self.reader.feed(data)
        except (FrameError, FieldError, IndexError, struct.error) as error:
            self._protocol_error(error)

    def send_frame(self, frame: Frame) -> None:
        self.write(pack(frame))

    def _pack_frame(self, frame: Frame) -> bytes:
        return pack(frame)

    def _unpack_frame(self, data: bytes) -> Frame:
        return unpack(self.spec, data)

    def _handle_other_frame(self, data: bytes) -> None:
        frame = self._unpack_frame(data)
        if frame.payload.type != Frame.HEARTBEAT:
            self.process_frame(frame).addErrback(self._failed)

    def _failed(self, failure: Failure) -> None:
        if self.close_reason is None:
            self.log.failure("reading from the broker failed", failure)
            self.abort("what the broker sent could not be handled")

    def _protocol_error(self, error: Exception) -> None:
        if self.close_reason is None:
            text = str(error) or "a frame is cut short"
            self.log.error("closing the connection to the broker: {reason}", reason=text)
            self.abort(text)

    def close(self, reason: Any = None, within: float = 0) -> Deferred[None]:
        """txAMQP calls this with what went wrong while it handled a frame."""
        if isinstance(reason, Failure):
            self._failed(reason)
        self.do_close(reason if reason is not None else ConnectionGone("closed from this side"))
        return succeed(None)

    def do_close(self, reason: Any) -> None:
        """Nothing is sent or expected any more; everybody who waits hears why."""
        if self.close_reason is None:
            self.close_reason = close_error(reason)
        if self._heartbeat is not None:
            self._heartbeat.stop()
        self.reader.stop()
        self.cancelled.clear()
        for channel in list(self.channels.values()):
            channel.close(self.close_reason)
        self.channels.clear()
        self.delegate.close(self.close_reason)

    def connectionLost(self, reason: Failure) -> None:
        self.lost = reason
        self.do_close(reason)
        self.disconnected.fire()

    def channel_failed(self, channel: BrokerChannel, reason: Failure) -> None:
        self._forget(channel.id)

    def _forget(self, channel: int) -> None:
        self.channels.pop(channel, None)
        self.cancelled.pop(channel, None)
        self.reader.forget(channel)
