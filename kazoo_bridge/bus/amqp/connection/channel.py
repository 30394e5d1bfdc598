"""Channels: txAMQP's, with right ends, right strings and right bodies."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail
from txamqp.client import Closed
from txamqp.connection import Body as BodyPayload
from txamqp.connection import Frame, Header
from txamqp.protocol import AMQChannel
from txamqp.queue import Closed as QueueClosed
from txamqp.queue import TimeoutDeferredQueue

from kazoo_bridge.bus.amqp.wire.errors import close_error
from kazoo_bridge.bus.amqp.wire.field_table import utf8
from kazoo_bridge.bus.amqp.wire.frame_writer import OVERHEAD


class ResponseQueue(TimeoutDeferredQueue):  # type: ignore[misc] # txAMQP has no types
    """The broker's responses on one channel; `count` is their number so far.

    Closing fails all waiting callers, without a chain of calls between them.
    """

    count = 0
    _closed = False

    def put(self, response: Any) -> None:
        """Hand a response to the first caller that waits."""
        self.count += 1
        super().put(response)

    def get(self, timeout: float | None = None) -> Deferred[Any]:
        """Return a Deferred of the next response; it fails with txAMQP's `Closed` when there will be none.

        It fails with txAMQP's `Empty` after `timeout` seconds (None: it waits without end).
        """
        if self._closed and not self.pending:
            return fail(QueueClosed())
        response: Deferred[Any] = super().get(timeout)
        return response

    def close(self) -> None:
        """Fail every waiting and every later call."""
        # In txAMQP's queue each failing caller calls the next, which thousands of callers cannot afford.
        self._closed = True
        while self.waiting:
            self.waiting.pop(0).errback(QueueClosed())


class BrokerChannel(AMQChannel):  # type: ignore[misc] # txAMQP has no types
    """A channel. Its methods fail with the exceptions of `wire.errors`."""

    id: int

    def __init__(self, id: int, outgoing: Any, client: Any) -> None:
        super().__init__(id, outgoing, client)
        self.responses = ResponseQueue()
        self._close_waiters: list[Deferred[Closed]] = []

    def when_closed(self) -> Deferred[Closed]:
        """Return a Deferred of the reason, as an exception, for which either side closes the channel."""
        waiter: Deferred[Closed] = Deferred()
        if self.closed:
            waiter.callback(close_error(self.reason))
        else:
            self._close_waiters.append(waiter)
        return waiter

    def do_close(self, reason: Any) -> None:
        """Called by txAMQP when the channel is closed."""
        was_closed = self.closed
        super().do_close(reason)
        if was_closed:
            return
        waiters, self._close_waiters = self._close_waiters, []
        for waiter in waiters:
            if not waiter.called:
                waiter.callback(close_error(reason))

    def write_content(self, klass: Any, content: Any, queue: Any) -> None:
        """Send the content's frames; text is sent as UTF-8."""
        body = utf8(content.body)
        queue.put(Frame(self.id, Header(klass, 0, len(body), **content.properties)))
        payload_size = self.client.MAX_LENGTH - OVERHEAD
        for start in range(0, len(body), payload_size):
            queue.put(Frame(self.id, BodyPayload(body[start : start + payload_size])))

    @staticmethod
    def _raise_closed(reason: Any) -> None:
        raise close_error(reason)
