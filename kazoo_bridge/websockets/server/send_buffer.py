"""The bounded send buffer of a connection.

Events are collected and written together. A write costs a system call: with a thousand sockets on one
binding, one write per event and socket would leave the process no time for anything else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from kazoo_bridge.websockets.server.flusher import Flusher
from kazoo_bridge.websockets.server.group_feed import GroupFeed
from kazoo_bridge.websockets.server.transport_writer import Transport, write_now


@implementer(IPushProducer)
class SendBuffer:
    """Collects frames for one connection, and keeps them while its client does not read.

    While the client does not read:

    - events that would exceed `max_bytes` are dropped and counted. When the client reads again,
      `on_events_dropped` receives their number by subscribed key.
    - more than `max_dropped` dropped events, or a reply while more than twice `max_bytes` wait, close the
      send buffer and call `on_overflow`, once.

    Register it as a producer with the transport. `dropped` counts the dropped events, `resumptions` how often
    the client has read again. A `closed` send buffer ignores everything.

    It may `follow` one `GroupFeed`. Whatever else happens to it, it takes the events of the feed before: what
    it writes, keeps and drops is the same as if it had received each of them by `event`.
    """

    __slots__ = (
        "_dropped_by_key",
        "_feed",
        "_flusher",
        "_frames",
        "_max_bytes",
        "_max_dropped",
        "_on_events_dropped",
        "_on_overflow",
        "_paused",
        "_size",
        "_transport",
        "closed",
        "deflate",
        "dropped",
        "position",
        "resumptions",
    )

    def __init__(
        self,
        transport: Transport,
        flusher: Flusher,
        max_bytes: int,
        max_dropped: int,
        on_events_dropped: Callable[[Counter[str]], None],
        on_overflow: Callable[[], None],
    ) -> None:
        self._transport = transport
        self._flusher = flusher
        self._max_bytes = max_bytes
        self._max_dropped = max_dropped
        self._on_events_dropped = on_events_dropped
        self._on_overflow = on_overflow
        self._frames: list[bytes] = []
        self._size = 0
        self._paused = False
        #: The events that were dropped since the client has stopped to read; None: none.
        self._dropped_by_key: Counter[str] | None = None
        self.dropped = 0
        self.closed = False
        self.resumptions = 0
        self._feed: GroupFeed | None = None
        self.position = 0
        self.deflate = False

    @property
    def paused(self) -> bool:
        """Whether the client does not read."""
        return self._paused

    # -- the feed

    def follow(self, feed: GroupFeed, deflate: bool) -> None:
        """Send the events of `feed` from now on; `deflate`: the client has negotiated permessage-deflate."""
        if not self.closed:
            self._feed, self.deflate = feed, deflate
            feed.add(self, slow=self._paused)

    def unfollow(self) -> None:
        """Send no events of the feed that come from now on."""
        self.take_feed()
        feed, self._feed = self._feed, None
        if feed is not None:
            feed.remove(self)

    def take_feed(self) -> None:
        """See `Follower`."""
        feed = self._feed
        if feed is None or self.position == feed.end:
            return
        frames, self.position = feed.since(self.position), feed.end
        for frame in frames:
            self._add_event(frame.frame(False, self.deflate), frame.subscribed_key)

    def write_joined(self, start: int, end: int, joined: bytes) -> None:
        """See `Follower`."""
        if self._feed is None:  # it has left while the others were written to
            return
        if self.position == start and not self._frames and not self._paused:
            self.position = end
            self._write(joined)
        else:
            self.flush()

    # -- frames

    def event(self, frame: bytes, subscribed_key: str) -> None:
        """Send an event, or drop it and count it by `subscribed_key`."""
        self.take_feed()
        self._add_event(frame, subscribed_key)

    def reply(self, frame: bytes) -> None:
        """Send a frame that must not be dropped: at once, if the client reads."""
        self.take_feed()
        if self.closed:
            return
        if self._paused and self._size > 2 * self._max_bytes:
            self._overflow()
            return
        self._frames.append(frame)
        self._size += len(frame)
        self.flush()

    def _add_event(self, frame: bytes, subscribed_key: str) -> None:
        if self.closed:
            return
        if self._paused:
            # After one dropped event all are dropped until the client reads: none may overtake the notice.
            if self._dropped_by_key or self._size + len(frame) > self._max_bytes:
                self._drop(subscribed_key)
                return
        elif not self._frames:
            self._flusher.schedule(self)
        self._frames.append(frame)
        self._size += len(frame)

    def _drop(self, subscribed_key: str) -> None:
        if self._dropped_by_key is None:
            self._dropped_by_key = Counter()
        self._dropped_by_key[subscribed_key] += 1
        self.dropped += 1
        self._flusher.dropped += 1
        if self._dropped_by_key.total() > self._max_dropped:
            self._overflow()

    def _overflow(self) -> None:
        self.close()
        self._on_overflow()

    def flush(self) -> None:
        """Write what is collected, unless the client does not read."""
        self.take_feed()
        if self._paused or self.closed or not self._frames:
            return
        data = self._frames[0] if len(self._frames) == 1 else b"".join(self._frames)
        self._frames.clear()
        self._size = 0
        self._write(data)

    def _write(self, data: bytes) -> None:
        try:
            write_now(self._transport, data)
        except Exception:
            self._overflow()  # the client has missed something
            raise

    def close(self) -> None:
        """Discard what is collected, and ignore everything from now on."""
        feed, self._feed = self._feed, None
        if feed is not None:
            feed.remove(self)
        self.closed = True
        self._frames.clear()
        self._size = 0

    # -- IPushProducer: called by the transport

    def pauseProducing(self) -> None:
        """Stop writing: the transport's own buffer is full, as the client reads too slowly."""
        self.take_feed()
        self._paused = True
        if self._feed is not None:
            self._feed.mark(self, slow=True)

    def resumeProducing(self) -> None:
        """Write what is collected: the transport's own buffer is empty."""
        self._paused = False
        if self._feed is not None:
            self._feed.mark(self, slow=False)
        self.resumptions += 1
        self.flush()
        if self._dropped_by_key and not self._paused and not self.closed:
            dropped, self._dropped_by_key = self._dropped_by_key, None
            self._on_events_dropped(dropped)

    def stopProducing(self) -> None:
        """Close: the connection is lost."""
        self.close()
