"""The events that clients have missed when they resume, and how much memory these may take."""

from __future__ import annotations

import secrets
from collections import Counter, deque

from attrs import define, field

from kazoo_bridge.websockets.server.frames import EventFrame

#: Bytes that an event takes besides its text.
FRAME_OVERHEAD = 500


@define(eq=False)
class ReplayMemory:
    """Counts the memory of the events in all replay buffers, an event of several sessions once per account.

    `per_account` limits the bytes of one account, `total` those of all: beyond it, an account with more than
    an equal share gets no more (each 0: no limit).
    """

    per_account: int
    total: int
    #: Bytes of each account that has some, and of all together.
    bytes_by_account: Counter[str] = field(init=False, factory=Counter)
    bytes_total: int = field(init=False, default=0)

    def hold(self, frame: EventFrame, account_id: str) -> None:
        """Count an event that a session of the account stores."""
        holders = frame.holders
        held = holders.get(account_id, 0)
        holders[account_id] = held + 1
        if not held:
            size = frame.size + FRAME_OVERHEAD
            self.bytes_by_account[account_id] += size
            self.bytes_total += size

    def release(self, frame: EventFrame, account_id: str) -> None:
        """Forget an event that `hold` has counted."""
        holders = frame.holders
        holders[account_id] -= 1
        if not holders[account_id]:
            del holders[account_id]
            size = frame.size + FRAME_OVERHEAD
            self.bytes_by_account[account_id] -= size
            self.bytes_total -= size
            if not self.bytes_by_account[account_id]:
                del self.bytes_by_account[account_id]

    def has_room(self, frame: EventFrame, account_id: str) -> bool:
        """Return whether the account may store an event."""
        if account_id in frame.holders:
            return True
        size = frame.size + FRAME_OVERHEAD
        used = self.bytes_by_account.get(account_id, 0) + size
        if self.per_account and used > self.per_account:
            return False
        if not self.total or self.bytes_total + size <= self.total:
            return True
        return used * max(1, len(self.bytes_by_account)) <= self.total


@define(eq=False)
class ReplayBuffer:
    """The latest `max_events` events of a session of the account that can be resumed, fewer without memory.

    `token` names the session. `interruptions` is the value of `EventFanout.interruptions` when the client was
    last informed about gaps. `dropped_until` is the sequence of the newest event that is no longer here.
    """

    max_events: int
    interruptions: int
    account_id: str
    memory: ReplayMemory
    token: str = field(factory=lambda: secrets.token_hex(24), repr=False)
    dropped_until: int = 0
    _frames: deque[EventFrame] = field(init=False, factory=deque)

    def add(self, frame: EventFrame) -> None:
        """Store an event; drops the oldest ones, or all of them when there is no memory."""
        memory, account_id = self.memory, self.account_id
        while not memory.has_room(frame, account_id):
            if not self._frames:
                self.dropped_until = frame.sequence
                return
            self._drop_oldest()
        memory.hold(frame, account_id)
        self._frames.append(frame)
        if len(self._frames) > self.max_events:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        frame = self._frames.popleft()
        self.dropped_until = frame.sequence
        self.memory.release(frame, self.account_id)

    def clear(self) -> None:
        """Release the memory, at the end of the session."""
        while self._frames:
            self._drop_oldest()

    def after(self, sequence: int) -> list[EventFrame]:
        """Return the stored events with a greater sequence, in order."""
        return [frame for frame in self._frames if frame.sequence > sequence]

    def has_gap(self, sequence: int) -> bool:
        """Return whether events with a greater sequence have been dropped."""
        return self.dropped_until > sequence
