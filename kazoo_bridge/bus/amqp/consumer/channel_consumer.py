"""One period of consuming: a channel, from its opening until either side ends it."""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from kazoo_bridge.bus.amqp.connection.channel import BrokerChannel
from kazoo_bridge.bus.amqp.connection.connection import BrokerConnection
from kazoo_bridge.bus.amqp.consumer.acks import AckBatcher
from kazoo_bridge.bus.amqp.wire.errors import Closed, closed_as_result
from kazoo_bridge.bus.amqp.wire.frame_reader import RawDelivery
from kazoo_bridge.bus.message_codec import estimated_memory
from kazoo_bridge.bus.message_decoder import MessageDecoder
from kazoo_bridge.bus.queue_metrics import BodySizes
from kazoo_bridge.interfaces import EventHandler, Queue, Requeue
from kazoo_bridge.kazoo import Event

#: Seconds to wait for the broker's answer to the cancellation of a consumer.
CANCEL_TIMEOUT = 3.0
#: Estimated bytes of memory of the events that handlers work on. Further messages wait as they came, perhaps
#: compressed.
MAX_HELD_BYTES = 64 * 1024 * 1024
#: Decoded bytes of large messages that are handled in one turn of the reactor. A compressed message of a few
#: kilobytes can take fifty milliseconds to decode, and hundreds of them arrive together.
MAX_TURN_BYTES = 1024 * 1024
#: Messages of fewer bytes are handled at once, however many they are.
_LARGE_BYTES = 16 * 1024
#: Messages that are decoded before they are handled.
_MAX_BATCH = 32
#: AMQP's limit of the prefetch count.
_MAX_PREFETCH = 0xFFFF


class ChannelConsumer:
    """Receives the deliveries of one channel, passes them to the handler and sends the results to the broker.

    `sizes` counts the messages.

    `ended` fires with the reason in words when the broker has ended it, or with None after `stop`.
    """

    log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        connection: BrokerConnection,
        channel: BrokerChannel,
        queue: Queue,
        handler: EventHandler,
        decoder: MessageDecoder,
        sizes: BodySizes,
    ) -> None:
        self.ended: Deferred[str | None] = Deferred()
        self._clock = clock
        self._connection = connection
        self._channel = channel
        self._queue = queue
        self._handler = handler
        self._decoder = decoder
        self._sizes = sizes
        self._held_bytes = 0
        self._waiting: deque[RawDelivery] = deque()
        self._decoded: deque[tuple[RawDelivery, Event, int]] = deque()
        self._handling = False
        self._turn_bytes = 0
        self._next_turn: IDelayedCall | None = None
        self._acks = AckBatcher(clock, channel.id, connection.write, prefetch=queue.prefetch)
        self._stopping = False
        self._consumer_tag = ""

    @property
    def unacknowledged(self) -> int:
        """The number of messages about whose end the broker knows nothing yet."""
        return self._acks.unsettled

    async def start(self, queue_name: str) -> None:
        """Start to receive deliveries of the queue. Raises the exceptions of `wire.errors`."""
        channel = self._channel
        channel.when_closed().addCallback(lambda error: self._end(str(error)))
        if self._queue.acknowledge and self._queue.prefetch:
            await channel.basic_qos(prefetch_count=min(self._queue.prefetch, _MAX_PREFETCH))
        # Before the request: deliveries may arrive together with its response.
        self._connection.reader.add_receiver(channel.id, self)
        response = await channel.basic_consume(queue=queue_name, no_ack=not self._queue.acknowledge)
        self._consumer_tag = response.consumer_tag

    async def stop(self) -> None:
        """Receive no further deliveries; send the results of open ones, then close the channel.

        Waits for the broker's answer, but not when this connection's broker has left such a request
        unanswered before.
        """
        self._stopping = True
        for delivery in (*(delivery for delivery, _, _ in self._decoded), *self._waiting):
            self._requeue(delivery.delivery_tag)
        self._discard()
        answered: Deferred[Closed | None] = Deferred()
        cancelling: Deferred[Any] = self._channel.basic_cancel(consumer_tag=self._consumer_tag)
        # The request is not cancelled: txAMQP gives a late response to the first request that waits.
        cancelling.addCallbacks(lambda _: None, closed_as_result).addCallback(
            lambda closed: None if answered.called else answered.callback(closed)
        )
        timer = self._clock.callLater(
            0 if self._connection.unresponsive else CANCEL_TIMEOUT, self._on_cancel_timeout, answered
        )
        closed = await answered
        if timer.active():
            timer.cancel()
        if closed is None:
            self._acks.drain(self._close_channel)

    def _on_cancel_timeout(self, answered: Deferred[Closed | None]) -> None:
        self._connection.unresponsive = True
        answered.callback(None)

    def flush(self) -> None:
        """Send the finished acknowledgements now."""
        self._acks.flush()

    # -- DeliveryReceiver -----------------------------------------------------------------------

    def on_delivery(self, delivery: RawDelivery) -> None:
        """Take a message, to be handled with those that were received together with it."""
        # After the decision to stop nothing is passed on; the broker delivers it to another consumer.
        if self._stopping:
            return
        if self._queue.acknowledge:
            self._acks.delivered(delivery.delivery_tag)
        self._sizes.count += 1
        self._sizes.total += len(delivery.body)
        self._waiting.append(delivery)
        if len(self._waiting) >= _MAX_BATCH:
            self._handle_waiting()

    def on_read_end(self) -> None:
        """Decode the messages and pass them to the handler.

        Later, if the events before them take much memory, or took much of this turn of the reactor.
        """
        if self._waiting:
            self._handle_waiting()

    def _handle_waiting(self) -> None:
        # A handler that is finished at once comes back here: the loop that is under way continues then.
        if self._handling:
            return
        self._handling = True
        try:
            while self._waiting and self._has_room:
                # First decode, then handle: the processor's caches hold one or the other.
                self._decode_batch()
                while self._decoded:
                    self._pass_on(*self._decoded.popleft())
        finally:
            self._handling = False

    @property
    def _has_room(self) -> bool:
        return self._held_bytes < MAX_HELD_BYTES and self._turn_bytes < MAX_TURN_BYTES

    def _decode_batch(self) -> None:
        """Decode the next messages, as many as there is room for."""
        decoded, waiting = self._decoded, self._waiting
        while waiting and len(decoded) < _MAX_BATCH and self._has_room:
            delivery = waiting.popleft()
            tag, redelivered, exchange, routing_key, content_encoding, body = delivery
            event = self._decoder.decode(exchange, routing_key, body, content_encoding, redelivered)
            if event is None:
                # What it was decompressed to is not known.
                size = MAX_TURN_BYTES if content_encoding else len(body)
                if size > _LARGE_BYTES:
                    self._count_large(size)
                self._reject(tag)
                continue
            size = len(event.raw)
            if size > _LARGE_BYTES:
                self._count_large(size)
                size = estimated_memory(event.raw)
            self._held_bytes += size
            decoded.append((delivery, event, size))

    def _pass_on(self, delivery: RawDelivery, event: Event, size: int) -> None:
        try:
            result = self._handler(event)
        except Exception:
            self._on_done(delivery, size, Failure())
            return
        if result is None:
            self._on_done(delivery, size, None)
            return
        done = partial(self._on_done, delivery, size)
        when_done = getattr(result, "when_done", None)
        if when_done is not None:
            when_done(done)
        elif isinstance(result, Deferred):
            result.addCallbacks(lambda _: done(None), done)
        else:
            # A handler that returns something else, against its contract, has finished.
            done(None)

    def _on_done(self, delivery: RawDelivery, size: int, failure: Failure | None) -> None:
        """Note that a handler has finished with an event, and handle messages that waited for that."""
        if failure is not None:
            self._on_failure(failure, delivery.delivery_tag, delivery.exchange, delivery.routing_key)
        elif self._queue.acknowledge:
            self._acks.ack(delivery.delivery_tag)
            if delivery.redelivered:
                self._acks.reset_backoff()
        self._held_bytes -= size
        if self._waiting:
            self._handle_waiting()

    def _count_large(self, size: int) -> None:
        """Count the bytes of a large message; beyond the limit others wait for the next turn."""
        self._turn_bytes += size
        if self._next_turn is None:
            self._next_turn = self._clock.callLater(0, self._on_next_turn)

    def _on_next_turn(self) -> None:
        self._next_turn = None
        self._turn_bytes = 0
        self._handle_waiting()

    def on_oversized(self, delivery_tag: int, exchange: str, routing_key: str, size: int) -> None:
        """Count and reject a message whose body is too large."""
        if self._stopping:
            return
        self._decoder.drop("too_large", exchange, routing_key, f"its body of {size} bytes is too large")
        if self._queue.acknowledge:
            self._acks.delivered(delivery_tag)
        self._reject(delivery_tag)

    def on_cancelled(self) -> None:
        """End, because the broker has cancelled the consumer."""
        self._end("the broker cancelled it, its queue may be deleted")

    def _discard(self) -> None:
        """Forget the messages that no handler has received."""
        self._held_bytes -= sum(size for _, _, size in self._decoded)
        self._decoded.clear()
        self._waiting.clear()

    # -- results of the handler -----------------------------------------------------------------

    def _on_failure(self, failure: Failure, tag: int, exchange: str, routing_key: str) -> None:
        # Cancelled work is unfinished too, and must not be lost.
        if failure.check(Requeue, CancelledError):
            self._requeue(tag)
            return
        self._decoder.handler_failed(failure, exchange, routing_key)
        self._reject(tag)

    def _requeue(self, tag: int) -> None:
        if self._queue.acknowledge:
            self._acks.requeue_later(tag)

    def _reject(self, tag: int) -> None:
        if self._queue.acknowledge:
            self._acks.reject(tag)

    # -- the end --------------------------------------------------------------------------------

    def _close_channel(self) -> None:
        closing = Deferred.fromCoroutine(self._connection.close_channel(self._channel))
        closing.addErrback(lambda failure: self.log.failure("closing a consumer's channel failed", failure))

    def _end(self, reason: str) -> None:
        self._acks.close()
        self._discard()
        if self._next_turn is not None:
            self._next_turn.cancel()
            self._next_turn = None
        self._connection.reader.remove_receiver(self._channel.id)
        if not self._channel.closed:
            self._close_channel()
        if not self.ended.called:
            self.ended.callback(None if self._stopping else reason)
