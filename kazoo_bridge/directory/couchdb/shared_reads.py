"""Callers that ask for the same thing at the same time share one read of it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

T = TypeVar("T")


class SharedReads(Generic[T]):
    """The reads under way, by key.

    A read runs by itself: a caller that is cancelled ends neither the read, nor the wait of other callers.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, list[Deferred[T]]] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, key: object) -> bool:
        return key in self._waiting

    def join(self, key: str, read: Callable[[], Coroutine[Any, Any, T]]) -> Deferred[T]:
        """Fire with the result of the read under way for `key`; without one, start `read`.

        Fails with what the read raises.
        """
        waiter: Deferred[T] = Deferred()
        if key in self._waiting:
            self._waiting[key].append(waiter)
        else:
            self._waiting[key] = [waiter]
            Deferred.fromCoroutine(read()).addBoth(self._finished, key)
        return waiter

    def _finished(self, result: T | Failure, key: str) -> None:
        for waiter in self._waiting.pop(key):
            # A waiter that was cancelled has fired already.
            if waiter.called:
                continue
            if isinstance(result, Failure):
                waiter.errback(result)
            else:
                waiter.callback(result)
