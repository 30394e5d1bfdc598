"""What became of deliveries, told to the broker in batches."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from kazoo_bridge.bus.amqp.consumer.backoff import Backoff
from kazoo_bridge.bus.amqp.wire import frame_writer

#: This many finished deliveries are acknowledged at once; fewer at the end of the reactor's turn.
BATCH_SIZE = 100


class AckBatcher:
    """Keeps account of the unsettled deliveries of one channel.

    A finished run from the oldest on is acknowledged with one frame, later ones one by one, all in one write. Unfinished
    deliveries are given back after a while that grows, so that they do not go round and round.
    """

    def __init__(
        self,
        clock: IReactorTime,
        channel: int,
        write: Callable[[bytes], None],
        backoff: Backoff | None = None,
    ) -> None:
        self._clock = clock
        self._channel = channel
        self._write = write
        self._backoff = backoff or Backoff()
        self._order: deque[int] = deque()
        self._done: set[int] = set()
        self._settled: set[int] = set()
        self._later: list[int] = []
        self._frames: list[bytes] = []
        self._flush_call: IDelayedCall | None = None
        self._later_call: IDelayedCall | None = None
        self._closed = False
        self._drained: Callable[[], None] | None = None

    @property
    def open(self) -> int:
        """How many deliveries the broker has not heard of yet."""
        return len(self._order) - len(self._settled)

    def delivered(self, tag: int) -> None:
        """A delivery has come. Tags only grow."""
        self._order.append(tag)

    def ack(self, tag: int) -> None:
        """Acknowledge it, soon."""
        if self._closed:
            return
        self._done.add(tag)
        if len(self._done) >= BATCH_SIZE:
            self.flush()
        elif self._flush_call is None:
            self._flush_call = self._clock.callLater(0, self._flush_now)

    def reject(self, tag: int) -> None:
        """Reject it: it shall never come again."""
        if not self._closed:
            self._acknowledge(tag, frame_writer.reject(self._channel, tag))

    def requeue_later(self, tag: int) -> None:
        """Give it back, after a while."""
        if self._closed:
            return
        self._later.append(tag)
        if self._later_call is None:
            self._later_call = self._clock.callLater(self._backoff.delay(), self._requeue)

    def reset_backoff(self) -> None:
        """A delivery that came again has succeeded: the next unfinished one need not wait long."""
        self._backoff.reset()

    def flush(self) -> None:
        """Tell the broker now."""
        if self._flush_call is not None:
            self._flush_call.cancel()
            self._flush_call = None
        if not self._closed:
            self._send()

    def drain(self, drained: Callable[[], None]) -> None:
        """Call `drained` once nothing is open; what waits to be given back is given back now."""
        self._drained = drained
        if self._later_call is not None:
            self._later_call.cancel()
            self._requeue()
        self.flush()

    def close(self) -> None:
        """The channel is gone: nothing can be told any more."""
        self._closed = True
        for call in (self._flush_call, self._later_call):
            if call is not None and call.active():
                call.cancel()
        self._flush_call = self._later_call = None
        self._order.clear()
        for tags in (self._done, self._settled):
            tags.clear()

    def _flush_now(self) -> None:
        self._flush_call = None
        self._send()

    def _requeue(self) -> None:
        self._later_call = None
        later, self._later = self._later, []
        for tag in later:
            self._acknowledge(tag, frame_writer.requeue(self._channel, tag))

    def _acknowledge(self, tag: int, frame: bytes) -> None:
        self._settled.add(tag)
        self._frames.append(frame)
        if self._flush_call is None:
            self._flush_call = self._clock.callLater(0, self._flush_now)

    def _send(self) -> None:
        """One write: rejections, then the acknowledgement of everything up to the oldest open one, then the others."""
        out, self._frames = self._frames, []
        order, done, settled = self._order, self._done, self._settled
        last = 0
        while order:
            tag = order[0]
            if tag in done:
                done.discard(tag)
                last = tag
            elif tag in settled:
                settled.discard(tag)
            else:
                break
            order.popleft()
        if last:
            out.append(frame_writer.acknowledge(self._channel, last, True))
        if done:
            out.extend(frame_writer.acknowledge(self._channel, tag, False) for tag in sorted(done))
            settled |= done
            done.clear()
        if out:
            self._write(b"".join(out))
        if self._drained is not None and not order:
            drained, self._drained = self._drained, None
            drained()
