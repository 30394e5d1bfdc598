"""A value that is costly to read and the same for all clients, read once for all that ask together."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

T = TypeVar("T")

_log = Logger()


@define(eq=False)
class CachedReading(Generic[T]):
    """Reads a value at most every `max_age` seconds, and once at a time, however many clients wait for it.

    `read` returns the value. Its failures go to all clients that wait, and are not kept.
    """

    _clock: IReactorTime
    _read: Callable[[], Awaitable[T]]
    _max_age: float
    _value: tuple[T] | None = field(init=False, default=None)
    _read_at: float = field(init=False, default=0.0)
    _waiting: list[Deferred[T]] | None = field(init=False, default=None)

    def get(self) -> Deferred[T]:
        """Fire with the value. A client that is cancelled does not disturb the others."""
        result: Deferred[T] = Deferred()
        if self._waiting is not None:
            self._waiting.append(result)
        elif self._value is not None and self._clock.seconds() - self._read_at < self._max_age:
            result.callback(self._value[0])
        else:
            self._waiting = [result]
            Deferred.fromCoroutine(self._refresh()).addErrback(self._failed)
        return result

    async def _refresh(self) -> None:
        value = await self._read()
        self._value, self._read_at = (value,), self._clock.seconds()
        for result in self._take_waiting():
            result.callback(value)

    def _failed(self, failure: Failure) -> None:
        self._value = None
        waiting = self._take_waiting()
        if not waiting:
            _log.failure("reading failed", failure)
        for result in waiting:
            result.errback(failure)

    def _take_waiting(self) -> list[Deferred[T]]:
        waiting, self._waiting = self._waiting or [], None
        return [result for result in waiting if not result.called]
