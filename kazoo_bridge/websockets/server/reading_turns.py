"""Lets sockets parse in turns what they have received: a few milliseconds in each turn of the reactor.

Without it, hundreds of sockets whose clients send at once would all be parsed in one turn of it, 64 KiB each,
and everything else in the process would wait.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Protocol

from attrs import define, field
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

_log = Logger()

#: Units of work that one reader does before the next one of its group, or of another, has its turn. A unit
#: takes about 10 µs: half a frame, for example.
UNITS_PER_READER = 30

#: Seconds between two portions of work, in which the reactor does everything else.
PAUSE = 0.001

#: Units in one portion, of all clients that have authenticated, and of all others: handshakes do not delay
#: the messages of clients.
CLIENT_UNITS, NEWCOMER_UNITS = 300, 150


class Reader(Protocol):
    """A socket with bytes to parse."""

    def parse(self, units: int) -> tuple[int, bool]:
        """Do about `units` of work; returns how many they were, and whether there is more to do."""

    def pause_reading(self) -> None:
        """Receive nothing until `parse` has returned that there is nothing more to do."""

    def abort(self) -> None:
        """Close the connection at once: its `parse` has raised an exception."""


@define(eq=False)
class ReadingTurns:
    """Grants portions of `units_per_portion` of work, with a `PAUSE` after each; groups take turns.

    A reader whose work fits is not delayed. `delayed` counts the others.
    """

    _clock: IReactorTime
    units_per_portion: int
    delayed: int = field(init=False, default=0)
    _waiting: OrderedDict[str, deque[Reader]] = field(init=False, factory=OrderedDict)
    _used: int = field(init=False, default=0)
    _call: IDelayedCall | None = field(init=False, default=None)

    def __len__(self) -> int:
        """The number of readers that wait."""
        return sum(map(len, self._waiting.values()))

    def take(self, reader: Reader, group: str) -> None:
        """Let a reader parse, now or when its turn comes; `group` is what it shares its turns with.

        A reader that waits already must not be given again.
        """
        if self._call is None:
            self._call = self._clock.callLater(PAUSE, self._begin_portion)
        if self._waiting or self._used >= self.units_per_portion or self._parse(reader):
            self.delayed += 1
            reader.pause_reading()
            self._waiting.setdefault(group, deque()).append(reader)

    def stop(self) -> None:
        """Forget the readers that wait, and leave no delayed call."""
        self._waiting.clear()
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _begin_portion(self) -> None:
        self._call = None
        self._used = 0
        if not self._waiting:
            return
        self._call = self._clock.callLater(PAUSE, self._begin_portion)
        while self._waiting and self._used < self.units_per_portion:
            group, readers = self._waiting.popitem(last=False)
            reader = readers.popleft()
            if self._parse(reader):
                readers.append(reader)
            if readers:
                self._waiting[group] = readers

    def _parse(self, reader: Reader) -> bool:
        """Let a reader parse; returns whether it has more to do."""
        try:
            used, has_more = reader.parse(UNITS_PER_READER)
        except Exception:
            _log.failure("parsing what a client has sent failed")
            reader.abort()
            return False
        self._used += max(1, used)
        return has_more
