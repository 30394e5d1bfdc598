"""Callers that ask for the same thing at the same time share one read of it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Generic, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

T = TypeVar("T")


class SharedReads(Generic[T]):
    """The reads under way, by key.

    A read runs by itself: a caller that is cancelled ends neither the read, nor the wait of other callers.
    """

    def __init__(self) -> None:
        #: By key, the callers that wait, in their order.
        self._waiting: dict[str, dict[Deferred[T], None]] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[str]:
        return iter(self._waiting)

    def __contains__(self, key: object) -> bool:
        return key in self._waiting

    def waiters(self, key: str) -> int:
        """Return how many callers wait for the read under way for `key`."""
        return len(self._waiting.get(key, ()))

    def join(self, key: str, read: Callable[[], Coroutine[Any, Any, T]]) -> Deferred[T]:
        """Fire with the result of the read under way for `key`; without one, start `read`.

        Fails with what the read raises.
        """
        is_first = key not in self._waiting
        waiting = self._waiting.setdefault(key, {})
        waiter: Deferred[T] = Deferred(lambda cancelled: waiting.pop(cancelled, None))
        waiting[waiter] = None
        if is_first:
            Deferred.fromCoroutine(read()).addBoth(self._finished, key)
        return waiter

    def _finished(self, result: T | Failure, key: str) -> None:
        waiting = self._waiting.pop(key)
        while waiting:
            waiter = next(iter(waiting))
            del waiting[waiter]
            if isinstance(result, Failure):
                waiter.errback(result)
            else:
                waiter.callback(result)
