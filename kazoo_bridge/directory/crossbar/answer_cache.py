"""Answers that are remembered for a while: one question at a time for each key, and old answers in need."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from attrs import frozen
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime

from kazoo_bridge.directory.crossbar.availability import Availability
from kazoo_bridge.directory.shared_reads import SharedReads
from kazoo_bridge.directory.ttl_cache import CacheLookups
from kazoo_bridge.interfaces import StorageUnavailable

T = TypeVar("T")

#: Seconds for which `AnswerCache.peek` returns an answer longer than `AnswerCache.get`, so that what has been
#: asked for just now is still there for those who cannot wait.
PEEK_GRACE = 10.0


@frozen
class CacheTimes:
    """For how many seconds answers count.

    `fresh`: without a further question. `stale`: beyond that, while the source does not answer. `unknown`: an
    answer that there is nothing.
    """

    fresh: float
    stale: float
    unknown: float


@frozen
class _Answer(Generic[T]):
    value: T | None
    asked: float


class AnswerCache(Generic[T]):
    """Answers by key; beyond `limit`, the least recently used one is dropped.

    `on_ended` is called when an answer is replaced by another one. `lookups` counts the answers of `get`.
    """

    def __init__(
        self,
        clock: IReactorTime,
        availability: Availability,
        times: CacheTimes,
        limit: int,
        on_ended: Callable[[], None] = lambda: None,
    ) -> None:
        self._clock = clock
        self._availability = availability
        self._times = times
        self._limit = limit
        self._on_ended = on_ended
        self._entries: OrderedDict[str, _Answer[T]] = OrderedDict()
        self.lookups = CacheLookups()
        self._asking: SharedReads[T | None] = SharedReads()

    def __len__(self) -> int:
        return len(self._entries)

    def peek(self, key: str) -> T | None:
        """Return the answer from memory, at most `PEEK_GRACE` seconds too old unless the source is away."""
        entry, now = self._entries.get(key), self._clock.seconds()
        if entry is None or entry.value is None:
            return None
        limit = self._times.fresh + PEEK_GRACE
        if self._availability.reason is not None:
            limit = max(limit, self._times.fresh + self._times.stale)
        return entry.value if now < entry.asked + limit else None

    def is_fresh(self, key: str) -> bool:
        """Return whether `get` would answer from memory, be it that there is nothing."""
        return self._fresh(key, self._clock.seconds()) is not None

    def get(self, key: str, ask: Callable[[], Awaitable[T | None]]) -> Deferred[T | None]:
        """Fire with the answer from memory, or else with that of `ask`, None for what is unknown.

        All that wait for the same key share one question. If the source does not answer, fires with an old
        answer if there is one, or else fails with `StorageUnavailable`.
        """
        now = self._clock.seconds()
        entry = self._fresh(key, now)
        if entry is None and self._availability.pauses:
            entry = self._stale(key, now)
        if entry is not None:
            self.lookups.hits += 1
            self._entries.move_to_end(key)
            return succeed(entry.value)
        self.lookups.misses += 1
        return self._asking.join(key, lambda: self._answer(key, ask))

    def put(self, key: str, value: T | None) -> None:
        """Store what the source has answered just now."""
        before = self._entries.pop(key, None)
        self._entries[key] = _Answer(value, self._clock.seconds())
        while len(self._entries) > self._limit:
            self._entries.popitem(last=False)
        if before is not None and before.value is not None and before.value != value:
            self._on_ended()

    def discard(self, key: str) -> None:
        """Forget the answer for `key`."""
        entry = self._entries.pop(key, None)
        if entry is not None and entry.value is not None:
            self._on_ended()

    async def _answer(self, key: str, ask: Callable[[], Awaitable[T | None]]) -> T | None:
        try:
            value = await ask()
        except StorageUnavailable:
            entry = self._stale(key, self._clock.seconds())
            if entry is None:
                raise
            return entry.value
        self.put(key, value)
        return value

    def _fresh(self, key: str, now: float) -> _Answer[T] | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        lifetime = self._times.unknown if entry.value is None else self._times.fresh
        return entry if now < entry.asked + lifetime else None

    def _stale(self, key: str, now: float) -> _Answer[T] | None:
        entry = self._entries.get(key)
        if entry is None or entry.value is None:
            return None
        return entry if now < entry.asked + self._times.fresh + self._times.stale else None
