"""Acknowledgements, rejections and requeues, sent to the broker in batches."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from kazoo_bridge.bus.amqp.connection.reconnecting import RETRY_DELAY
from kazoo_bridge.bus.amqp.wire import frame_writer

#: So many acknowledgements are sent at once, fewer after `ACK_INTERVAL`.
BATCH_SIZE = 100

#: Seconds for which acknowledgements are collected. A write to the broker costs as much as handling an event.
ACK_INTERVAL = 0.005

#: The part of the prefetch whose acknowledgements are sent at once, so that the broker never waits for them.
_PREFETCH_SHARE = 4


class AckBatcher:
    """Tracks the unsettled deliveries of one channel.

    Acknowledges finished deliveries from the oldest one on with one frame, later ones one by one, all in one
    write. Requeues deliveries after a delay that grows, so that they do not come back in a tight loop.

    `write` sends frames. `retry_delay` gives the seconds before requeue number n (from 0). `prefetch` is the
    largest number of unsettled deliveries; 0: no limit.
    """

    def __init__(
        self,
        clock: IReactorTime,
        channel: int,
        write: Callable[[bytes], None],
        retry_delay: Callable[[int], float] = RETRY_DELAY,
        prefetch: int = 0,
    ) -> None:
        self._batch_size = min(BATCH_SIZE, max(1, prefetch // _PREFETCH_SHARE)) if prefetch else BATCH_SIZE
        self._clock = clock
        self._channel = channel
        self._write = write
        self._retry_delay = retry_delay
        self._requeues = 0
        self._order: deque[int] = deque()
        self._acked: set[int] = set()
        self._settled: set[int] = set()
        self._to_requeue: list[int] = []
        self._frames: list[bytes] = []
        self._flush_timer: IDelayedCall | None = None
        self._requeue_timer: IDelayedCall | None = None
        self._closed = False
        self._on_drained: Callable[[], None] | None = None

    @property
    def unsettled(self) -> int:
        """Number of deliveries about which the broker knows nothing yet."""
        return len(self._order) - len(self._settled)

    def delivered(self, tag: int) -> None:
        """Track a new delivery. Tags only grow."""
        self._order.append(tag)

    def ack(self, tag: int) -> None:
        """Acknowledge a delivery within `ACK_INTERVAL`, or when the batch is full."""
        if self._closed:
            return
        self._acked.add(tag)
        if len(self._acked) >= self._batch_size:
            self.flush()
        elif self._flush_timer is None:
            self._flush_timer = self._clock.callLater(ACK_INTERVAL, self._flush)

    def reject(self, tag: int) -> None:
        """Reject a delivery, so that the broker drops it."""
        if not self._closed:
            self._add_frame(tag, frame_writer.reject(self._channel, tag))

    def requeue_later(self, tag: int) -> None:
        """Return a delivery to the queue after the current delay, together with others that wait for that."""
        if self._closed:
            return
        self._to_requeue.append(tag)
        if self._requeue_timer is None:
            self._requeue_timer = self._clock.callLater(self._retry_delay(self._requeues), self._requeue)
            self._requeues += 1

    def reset_backoff(self) -> None:
        """Start again with the shortest delay, because a redelivered message has succeeded."""
        self._requeues = 0

    def flush(self) -> None:
        """Send everything that is finished now."""
        if self._flush_timer is not None:
            self._flush_timer.cancel()
            self._flush_timer = None
        if not self._closed:
            self._send()

    def drain(self, on_drained: Callable[[], None]) -> None:
        """Call `on_drained` once every delivery is settled. Requeues at once what waits for its delay."""
        self._on_drained = on_drained
        if self._requeue_timer is not None:
            self._requeue_timer.cancel()
            self._requeue()
        self.flush()

    def close(self) -> None:
        """Send nothing more, because the channel is closed."""
        self._closed = True
        for timer in (self._flush_timer, self._requeue_timer):
            if timer is not None and timer.active():
                timer.cancel()
        self._flush_timer = self._requeue_timer = None
        self._order.clear()
        for tags in (self._acked, self._settled):
            tags.clear()

    def _flush(self) -> None:
        self._flush_timer = None
        self._send()

    def _requeue(self) -> None:
        self._requeue_timer = None
        tags, self._to_requeue = self._to_requeue, []
        for tag in tags:
            self._add_frame(tag, frame_writer.requeue(self._channel, tag))

    def _add_frame(self, tag: int, frame: bytes) -> None:
        self._settled.add(tag)
        self._frames.append(frame)
        if self._flush_timer is None:
            self._flush_timer = self._clock.callLater(0, self._flush)

    def _send(self) -> None:
        """Write rejections and requeues, then one acknowledgement for the oldest ones, then the others."""
        out, self._frames = self._frames, []
        order, acked, settled = self._order, self._acked, self._settled
        last = 0
        while order:
            tag = order[0]
            if tag in acked:
                acked.discard(tag)
                last = tag
            elif tag in settled:
                settled.discard(tag)
            else:
                break
            order.popleft()
        if last:
            out.append(frame_writer.acknowledge(self._channel, last, True))
        if acked:
            out.extend(frame_writer.acknowledge(self._channel, tag, False) for tag in sorted(acked))
            settled |= acked
            acked.clear()
        if out:
            self._write(b"".join(out))
        if self._on_drained is not None and not order:
            on_drained, self._on_drained = self._on_drained, None
            on_drained()
