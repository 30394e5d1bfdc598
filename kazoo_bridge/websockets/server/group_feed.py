"""The frames of one subscription group, joined once per flush for all its sockets."""

from __future__ import annotations

from typing import Protocol

from twisted.logger import Logger

from kazoo_bridge.websockets.server.flusher import Flusher
from kazoo_bridge.websockets.server.frames import EventFrame

_log = Logger()


class Follower(Protocol):
    """Takes frames of a feed; it keeps in `position` how many it has taken, by `GroupFeed.end`."""

    position: int
    deflate: bool

    def take_feed(self) -> None:
        """Collect the frames of the feed that are not taken yet."""

    def write_joined(self, start: int, end: int, joined: bytes) -> None:
        """Write the frames of the feed from `start` to `end`, given together, and what is not taken else."""


class FeedOwner(Protocol):
    """What has a feed once it is needed: a subscription group."""

    feed: GroupFeed | None


class GroupFeed:
    """Collects the events of a subscription group until the next flush, which writes them to its followers.

    A follower is either plain, and written to with each flush, or slow: it takes each event at once. It may
    take the events so far at any time, so that what it sends besides keeps its place among them. `end` is the
    number of all events so far.
    """

    __slots__ = ("_flusher", "_frames", "_plain", "_slow", "_start")

    def __init__(self, flusher: Flusher) -> None:
        self._flusher = flusher
        self._plain: dict[Follower, None] = {}
        self._slow: dict[Follower, None] = {}
        #: The events that are not flushed yet, and the number of those before.
        self._frames: list[EventFrame] = []
        self._start = 0

    @property
    def end(self) -> int:
        """The number of all events so far."""
        return self._start + len(self._frames)

    def add(self, follower: Follower, *, slow: bool) -> None:
        """Add a follower of the events from now on."""
        follower.position = self.end
        (self._slow if slow else self._plain)[follower] = None

    def remove(self, follower: Follower) -> None:
        """Remove a follower; what it has not taken is not written to it."""
        self._plain.pop(follower, None)
        self._slow.pop(follower, None)

    def mark(self, follower: Follower, *, slow: bool) -> None:
        """Treat a follower as slow, or as plain again; it has taken all events."""
        self.remove(follower)
        (self._slow if slow else self._plain)[follower] = None

    def append(self, frame: EventFrame) -> None:
        """Send an event to all followers."""
        if self._plain and not self._frames:
            self._flusher.schedule(self)
        self._frames.append(frame)
        for follower in list(self._slow):
            follower.take_feed()
        if not self._plain:
            self._forget(len(self._frames))

    def since(self, position: int) -> list[EventFrame]:
        """Return the events after the first `position` ones, which are not flushed yet."""
        return self._frames[max(0, position - self._start) :]

    def flush(self) -> None:
        """Write the events to all plain followers; a failure of one of them does not concern the others."""
        count, start, end = len(self._frames), self._start, self.end
        if not count:
            return
        try:
            self._write(start, end, count)
        finally:
            self._forget(count)
            if self._frames:
                self._flusher.schedule(self)

    def _write(self, start: int, end: int, count: int) -> None:
        joined: dict[bool, bytes] = {}
        for follower in list(self._plain):
            deflate = follower.deflate
            if deflate not in joined:
                joined[deflate] = b"".join([frame.frame(False, deflate) for frame in self._frames[:count]])
            try:
                follower.write_joined(start, end, joined[deflate])
            except Exception:
                _log.failure("writing to a client failed")

    def _forget(self, count: int) -> None:
        for frame in self._frames[:count]:
            if frame.holders:
                frame.forget_encodings()
        del self._frames[:count]
        self._start += count
