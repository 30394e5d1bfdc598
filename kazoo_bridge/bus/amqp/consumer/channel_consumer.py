"""One stretch of consuming: a channel, from its opening to its end, whoever ends it."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from kazoo_bridge.bus.amqp.connection.channel import BrokerChannel
from kazoo_bridge.bus.amqp.connection.connection import BrokerConnection
from kazoo_bridge.bus.amqp.consumer.acks import AckBatcher
from kazoo_bridge.bus.amqp.wire.errors import Closed
from kazoo_bridge.bus.message_codec import DecodeError, decode
from kazoo_bridge.interfaces import EventHandler, Queue, Requeue

#: Seconds for which the broker is waited for when it is told to send nothing more.
CANCEL_TIMEOUT = 3.0


class ChannelConsumer:
    """Takes the deliveries of one channel, hands them to the handler and tells the broker what became of them.

    `ended` fires with the reason in words when the broker has ended it, or with None when `stop` did.
    """

    log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        connection: BrokerConnection,
        channel: BrokerChannel,
        queue: Queue,
        handler: EventHandler,
    ) -> None:
        self.ended: Deferred[str | None] = Deferred()
        self._clock = clock
        self._connection = connection
        self._channel = channel
        self._queue = queue
        self._handler = handler
        self._acks = AckBatcher(clock, channel.id, connection.write)
        self._stopping = False
        self._consumer_tag = ""

    async def start(self, queue_name: str) -> None:
        """Begin to take deliveries. Raises the exceptions of `errors`."""
        channel, connection = self._channel, self._connection
        self._watch(channel.when_closed())
        if self._queue.acknowledge and self._queue.prefetch:
            await channel.basic_qos(prefetch_count=min(self._queue.prefetch, 0xFFFF))
        # From here on deliveries may come, even in the same piece as the answer.
        connection.reader.receivers[channel.id] = self
        connection.cancelled[channel.id] = lambda _tag: self._end(
            "the broker cancelled it, its queue may be deleted"
        )
        answer = await channel.basic_consume(queue=queue_name, no_ack=not self._queue.acknowledge)
        self._consumer_tag = answer.consumer_tag

    async def stop(self) -> None:
        """Take no further deliveries; those handed over are still settled, after which the channel is closed.

        A broker that does not answer in time is not waited for, and then not again on this connection.
        """
        self._stopping = True
        answered: Deferred[Closed | None] = Deferred()
        cancelling: Deferred[Any] = self._channel.basic_cancel(consumer_tag=self._consumer_tag)
        # The call itself goes on: an answer that comes late after all must find who asked for it.
        cancelling.addCallbacks(lambda _: None, _closed_only).addCallback(
            lambda end: None if answered.called else answered.callback(end)
        )
        late = self._clock.callLater(
            0 if self._connection.silent else CANCEL_TIMEOUT, self._abandon_cancel, answered
        )
        end = await answered
        if late.active():
            late.cancel()
        if end is None:
            self._acks.drain(self._close_channel)

    def _abandon_cancel(self, answered: Deferred[Closed | None]) -> None:
        self._connection.silent = True
        answered.callback(None)

    def flush(self) -> None:
        """Tell the broker now what has finished."""
        self._acks.flush()

    # -- deliveries -----------------------------------------------------------------------------

    def delivered(
        self,
        consumer_tag: str,
        delivery_tag: int,
        redelivered: bool,
        exchange: str,
        routing_key: str,
        content_encoding: str | None,
        properties: bytes,
        body: bytes,
    ) -> None:
        """Decode a message and hand it over."""
        # What comes after the decision to stop was never handed over; the broker keeps it for another consumer.
        if self._stopping:
            return
        if self._queue.acknowledge:
            self._acks.delivered(delivery_tag)
        try:
            result = self._handler(decode(exchange, routing_key, body, content_encoding, redelivered))
        except DecodeError as error:
            self.log.warn(
                "dropping a message on {exchange} with routing key {routing_key}: {reason}",
                exchange=exchange,
                routing_key=routing_key,
                reason=str(error),
            )
            self._refuse(delivery_tag)
            return
        except Exception:
            self._failed(Failure(), delivery_tag, routing_key)
            return
        if result is None:
            self._finish(None, delivery_tag, redelivered)
        else:
            result.addCallbacks(
                self._finish,
                self._failed,
                callbackArgs=(delivery_tag, redelivered),
                errbackArgs=(delivery_tag, routing_key),
            )

    def too_large(
        self, consumer_tag: str, delivery_tag: int, exchange: str, routing_key: str, size: int
    ) -> None:
        """Reject a message that nobody wants in memory."""
        if self._stopping:
            return
        self.log.warn(
            "dropping a message on {exchange} with routing key {routing_key}: its body of {size} bytes is too large",
            exchange=exchange,
            routing_key=routing_key,
            size=size,
        )
        if self._queue.acknowledge:
            self._acks.delivered(delivery_tag)
        self._refuse(delivery_tag)

    def _finish(self, _result: Any, tag: int, redelivered: bool) -> None:
        if self._queue.acknowledge:
            self._acks.ack(tag)
            if redelivered:
                self._acks.reset_backoff()

    def _refuse(self, tag: int) -> None:
        if self._queue.acknowledge:
            self._acks.reject(tag)

    def _failed(self, failure: Failure, tag: int, routing_key: str) -> None:
        # Work that was cancelled is not finished either, and must not be lost.
        if failure.check(Requeue, CancelledError):
            if self._queue.acknowledge:
                self._acks.requeue_later(tag)
            return
        self.log.failure(
            "handling an event with routing key {routing_key} failed", failure, routing_key=routing_key
        )
        self._refuse(tag)

    # -- the end --------------------------------------------------------------------------------

    def _watch(self, closed: Deferred[Closed]) -> None:
        closed.addCallback(lambda error: self._end(str(error)))

    def _close_channel(self) -> None:
        closing = Deferred.fromCoroutine(self._connection.close_channel(self._channel))
        closing.addErrback(lambda failure: self.log.failure("closing a consumer's channel failed", failure))

    def _end(self, reason: str) -> None:
        self._acks.close()
        self._connection.reader.receivers.pop(self._channel.id, None)
        if not self._channel.closed:
            self._close_channel()
        if not self.ended.called:
            self.ended.callback(None if self._stopping else reason)


def _closed_only(failure: Failure) -> Any:
    failure.trap(Closed)
    return failure.value
