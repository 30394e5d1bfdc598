"""Values that are read from CouchDB when they are needed, and read again when they have become old."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from attrs import define
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from kazoo_bridge.directory.shared_reads import SharedReads
from kazoo_bridge.interfaces import StorageUnavailable
from kazoo_bridge.token_bucket import TokenBucket

T = TypeVar("T")

_log = Logger()

#: Seconds that a caller waits for a newer value when it may have the known one.
KNOWN_WAIT = 1.0

#: Seconds after a failed or slow read for which known values are not read again.
_PAUSE = 3.0

#: Values that one reader keeps; the one used longest ago is dropped first.
MAX_KEPT = 10_000


@define
class Freshness:
    """For how many seconds a value counts as new, and for how many it is used while CouchDB is away."""

    new: float
    usable: float


@define
class ReadPause:
    """Until when known values are not read again, in seconds of the clock; shared by readers."""

    until: float = float("-inf")


@define(eq=False)
class _KeptValue(Generic[T]):
    """A value and when it was read; None: there is no such document. `doubtful`: it has changed since.

    `generation`: how often all values had been marked as old.
    """

    value: T | None
    read_at: float
    generation: int
    doubtful: bool = False


class CachedReader(Generic[T]):
    """Reads values by key, each at most once at the same time.

    A value that is new is returned at once. An older one is read again, and the caller gets the newer one, or
    the known one if CouchDB does not answer within `KNOWN_WAIT`; then callers do not wait for a few seconds.
    Beyond the rate of such reads, values wait for theirs in the order in which they were asked for, so that
    each in use is read again in its turn, and callers get the known ones.
    A value that a message has called changed is never used again. `on_changed` is called
    with the key when a value has become another.
    """

    def __init__(
        self,
        clock: IReactorTime,
        read: Callable[[str], Awaitable[T | None]],
        freshness: Freshness,
        *,
        on_changed: Callable[[str], None],
        unknown: TokenBucket,
        again: TokenBucket,
        limit: int = MAX_KEPT,
        pause: ReadPause | None = None,
    ) -> None:
        """Read nothing yet. `pause`: None: the reader has its own.

        `read` may raise `StorageUnavailable`. `unknown` bounds the reads of what is not kept; beyond it, they
        fail. `again` bounds the reads of what is kept; beyond it, they wait.
        """
        self._clock = clock
        self._read = read
        self._freshness = freshness
        self._on_changed = on_changed
        self._unknown = unknown
        self._again = again
        self._limit = limit
        self._entries: OrderedDict[str, _KeptValue[T]] = OrderedDict()
        self._reading: SharedReads[T | None] = SharedReads()
        self._changed: set[str] = set()
        self._generation = 0
        #: What is to be read again, in the order in which it was asked for.
        self._due: OrderedDict[str, None] = OrderedDict()
        self._next_due: IDelayedCall | None = None
        self._pause = ReadPause() if pause is None else pause

    def peek(self, key: str) -> T | None:
        """Return a value that is new, without asking; None if there is none."""
        entry = self._entries.get(key)
        if entry is None or entry.doubtful or not self._is_new(entry):
            return None
        return entry.value

    def _is_new(self, entry: _KeptValue[T]) -> bool:
        age = self._clock.seconds() - entry.read_at
        return entry.generation == self._generation and age < self._freshness.new

    def is_kept(self, key: str) -> bool:
        """Return whether the key has been read, be it that there is no such document."""
        return key in self._entries

    def is_doubtful(self, key: str) -> bool:
        """Return whether a message has called the kept value changed, so that it must be read again."""
        entry = self._entries.get(key)
        return entry is not None and entry.doubtful

    def get(self, key: str, *, expected: bool = False) -> Deferred[T | None]:
        """Fire with the value; None if there is no such document. May fail with `StorageUnavailable`.

        `expected`: the key is not one that any client may have made up, and is read although many unknown
        ones are asked for.
        """
        now, entry = self._clock.seconds(), self._entries.get(key)
        if entry is None or entry.doubtful:
            is_new = entry is None and not expected and key not in self._reading
            if is_new and not self._unknown.take(now):
                return fail(StorageUnavailable("too many unknown identities and keys are asked for"))
            return self._start(key)
        self._entries.move_to_end(key)
        if self._is_new(entry):
            return succeed(entry.value)
        if entry.value is None or now - entry.read_at >= self._freshness.usable:
            return self._start(key)
        if now < self._pause.until:
            return succeed(entry.value)
        reading = self._start(key) if key in self._reading else self._read_in_turn(key)
        if reading is None:
            return succeed(entry.value)
        return PatientRead(self._clock, reading, entry.value, self._begin_pause).answer

    def stop(self) -> None:
        """Read nothing more by itself; leaves no delayed call."""
        self._due.clear()
        if self._next_due is not None:
            self._next_due.cancel()
            self._next_due = None

    def mark_changed(self, key: str) -> bool:
        """Never use the kept value again; returns whether there is one."""
        if key in self._reading:
            self._changed.add(key)
        entry = self._entries.get(key)
        if entry is None:
            return False
        if entry.value is None:
            del self._entries[key]
        entry.doubtful = True
        return True

    def mark_all_old(self) -> None:
        """Read every kept value again when it is asked for, as if it had been read long ago.

        While the source does not answer, the values are used for as long as they are usable.
        """
        self._generation += 1

    def _begin_pause(self) -> None:
        self._pause.until = self._clock.seconds() + _PAUSE

    def _read_in_turn(self, wanted: str | None = None) -> Deferred[T | None] | None:
        """Read what is due, as far as the rate allows; returns the read of `wanted` if it has begun."""
        if wanted is not None:
            self._due.setdefault(wanted)
        now, wanted_read = self._clock.seconds(), None
        while self._due and self._again.take(now):
            key, _ = self._due.popitem(last=False)
            reading = self._start(key)
            if key == wanted:
                wanted_read = reading
            else:
                reading.addErrback(_log_unexpected)
        if self._due and self._next_due is None:
            self._next_due = self._clock.callLater(self._again.wait_time, self._continue)
        return wanted_read

    def _continue(self) -> None:
        self._next_due = None
        pause = self._pause.until - self._clock.seconds()
        if pause > 0:
            self._next_due = self._clock.callLater(pause, self._continue)
        else:
            self._read_in_turn()

    def _start(self, key: str) -> Deferred[T | None]:
        """Read, or wait for the read in progress."""
        return self._reading.join(key, lambda: self._read_now(key))

    async def _read_now(self, key: str) -> T | None:
        while True:
            self._changed.discard(key)
            generation = self._generation
            try:
                value = await self._read(key)
            except StorageUnavailable:
                self._begin_pause()
                raise
            # What a message has called changed meanwhile may have been read before the change.
            if key not in self._changed and generation == self._generation:
                break
        entry = self._entries.get(key)
        self._entries[key] = _KeptValue(value, self._clock.seconds(), generation)
        self._entries.move_to_end(key)
        while len(self._entries) > self._limit:
            self._entries.popitem(last=False)
        if entry is not None and entry.value is not None and entry.value != value:
            self._on_changed(key)
        return value


def _log_unexpected(failure: Failure) -> None:
    if not failure.check(StorageUnavailable):
        _log.failure("value of CouchDB not read again", failure)


class PatientRead(Generic[T]):
    """Answers with a newer value, or after `KNOWN_WAIT` or a failure with the known one.

    `on_slow` is called after `KNOWN_WAIT`.
    """

    def __init__(
        self,
        clock: IReactorTime,
        newer: Deferred[T | None],
        known: T | None,
        on_slow: Callable[[], None],
    ) -> None:
        self._known = known
        self._on_slow = on_slow
        self.answer: Deferred[T | None] = Deferred()
        self._timer: IDelayedCall | None = clock.callLater(KNOWN_WAIT, self._slow)
        newer.addCallbacks(self._give, self._failed)

    def _failed(self, failure: Failure) -> None:
        if failure.check(StorageUnavailable):
            self._give(self._known)
        elif not self.answer.called:
            self._stop()
            self.answer.errback(failure)

    def _slow(self) -> None:
        self._on_slow()
        self._give(self._known)

    def _give(self, value: T | None) -> None:
        self._stop()
        if not self.answer.called:
            self.answer.callback(value)

    def _stop(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
