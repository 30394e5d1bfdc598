"""Channels and the broker's unasked-for messages: txAMQP's two classes for them, mended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, fail
from txamqp.client import Closed, TwistedDelegate
from txamqp.connection import Body as BodyPayload
from txamqp.connection import Frame, Header
from txamqp.protocol import AMQChannel
from txamqp.queue import Closed as QueueClosed
from txamqp.queue import TimeoutDeferredQueue

from kazoo_bridge.bus.amqp.wire.errors import close_error
from kazoo_bridge.bus.amqp.wire.field_table import utf8
from kazoo_bridge.bus.amqp.wire.frame_reader import DEFAULT_FRAME_MAX
from kazoo_bridge.bus.amqp.wire.frame_writer import OVERHEAD

if TYPE_CHECKING:
    from kazoo_bridge.bus.amqp.connection.connection import BrokerConnection


class ResponseQueue(TimeoutDeferredQueue):  # type: ignore[misc]
    """The broker's answers. Its end reaches all who wait one after another; in txAMQP's queue each of them calls the next."""

    _ended = False

    def get(self, timeout: float | None = None) -> Deferred[Any]:
        """The next answer; fails with txAMQP's `Closed` when there will be none."""
        if self._ended and not self.pending:
            return fail(QueueClosed())
        answer: Deferred[Any] = super().get(timeout)
        return answer

    def close(self) -> None:
        """Fail every call that waits for an answer, and those that come later."""
        self._ended = True
        while self.waiting:
            self.waiting.pop(0).errback(QueueClosed())


class BrokerChannel(AMQChannel):  # type: ignore[misc]
    """A channel. Its calls fail with the exceptions of `errors`."""

    client: BrokerConnection
    id: int

    def __init__(self, id: int, outgoing: Any, client: Any) -> None:
        super().__init__(id, outgoing, client)
        self.responses = ResponseQueue()
        self._ends: list[Deferred[Closed]] = []

    def when_closed(self) -> Deferred[Closed]:
        """Fires with the exception that says why, once the channel is closed by whomever."""
        waiter: Deferred[Closed] = Deferred()
        if self.closed:
            waiter.callback(close_error(self.reason))
        else:
            self._ends.append(waiter)
        return waiter

    def do_close(self, reason: Any) -> None:
        was_closed = self.closed
        super().do_close(reason)
        if was_closed:
            return
        ends, self._ends = self._ends, []
        for waiter in ends:
            if not waiter.called:
                waiter.callback(close_error(reason))

    def write_content(self, klass: Any, content: Any, queue: Any) -> None:
        """The content's frames; text is sent as UTF-8."""
        body = utf8(content.body)
        queue.put(Frame(self.id, Header(klass, 0, len(body), **content.properties)))
        room = self.client.MAX_LENGTH - OVERHEAD
        for start in range(0, len(body), room):
            queue.put(Frame(self.id, BodyPayload(body[start : start + room])))

    @staticmethod
    def _raise_closed(reason: Any) -> None:
        raise close_error(reason)


class BrokerDelegate(TwistedDelegate):  # type: ignore[misc]
    """Answers what the broker says without being asked."""

    client: BrokerConnection

    def connection_start(self, ch: Any, msg: Any) -> None:
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
        self.client.on_tuned(msg.channel_max or 0xFFFF, frame_max, heartbeat)
        self.client.started.fire()

    def connection_blocked(self, ch: Any, msg: Any) -> None:
        self.client.set_blocked(msg.reason or "no reason given")

    def connection_unblocked(self, ch: Any, msg: Any) -> None:
        self.client.set_blocked(None)

    def basic_cancel(self, ch: Any, msg: Any) -> None:
        self.client.consumer_cancelled(ch.id, msg.consumer_tag)
        if not msg.nowait:
            ch.basic_cancel_ok(consumer_tag=msg.consumer_tag)
