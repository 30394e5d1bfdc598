"""What a client that lost its connection has missed."""

from __future__ import annotations

import secrets
from collections import deque

from attrs import define, field

from kazoo_bridge.websockets.server.frames import EventFrame


@define(eq=False)
class ReplayBuffer:
    """The latest events of one session that can be resumed. `token` names the session; `lost` is the newest event forgotten.

    `interruptions` is how often the node's own listening had been interrupted when the client was last told.
    """

    length: int
    interruptions: int
    token: str = field(factory=lambda: secrets.token_hex(24), repr=False)
    truncated: int = 0
    _frames: deque[EventFrame] = field(init=False, factory=deque)

    def add(self, frame: EventFrame) -> None:
        """Remember an event, and forget the oldest where there are too many."""
        self._frames.append(frame)
        if len(self._frames) > self.length:
            self.truncated = self._frames.popleft().sequence

    def after(self, sequence: int) -> list[EventFrame]:
        """The remembered events after one that the client has had."""
        return [frame for frame in self._frames if frame.sequence > sequence]

    def has_gap(self, sequence: int) -> bool:
        """Whether events after this one have been forgotten."""
        return self.truncated > sequence
