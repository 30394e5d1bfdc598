"""What tests do with Deferreds and coroutines that end at once."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.python.failure import Failure

T = TypeVar("T")


def result_of(awaitable: Awaitable[T]) -> T:
    """Return the result that it has already, or raise what it has failed with."""
    deferred: Any = awaitable if isinstance(awaitable, Deferred) else ensureDeferred(awaitable)  # type: ignore[arg-type]
    results: list[Any] = []
    deferred.addBoth(results.append)
    assert results, "it has not fired"
    if isinstance(results[0], Failure):
        results[0].raiseException()
    result: T = results[0]
    return result
