"""Limits the number of coroutines that run at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure


@define(eq=False)
class _Job:
    """`result` is what the caller of `run` has; `running` is the started work."""

    work: Callable[[], Coroutine[Any, Any, Any]]
    result: Deferred[Any] = field(init=False)
    running: Deferred[Any] | None = field(init=False, default=None)

    def __attrs_post_init__(self) -> None:
        self.result = Deferred(lambda _: None if self.running is None else self.running.cancel())


@define(eq=False)
class ConcurrencyLimit:
    """Runs coroutines in the order of `run`, at most `limit` at once.

    One loop starts them all. With Twisted's `DeferredSemaphore`, each coroutine that ends synchronously would
    start the next one in its own call stack, and hundreds of them would reach the recursion limit.
    """

    _limit: int
    _waiting: deque[_Job] = field(init=False, factory=deque)
    _running: int = field(init=False, default=0)
    _starting: bool = field(init=False, default=False)

    def run(self, work: Callable[[], Coroutine[Any, Any, Any]]) -> Deferred[Any]:
        """Run `work()` when the limit allows; returns a Deferred of its result.

        Cancelling the Deferred cancels the coroutine, or removes it from the queue.
        """
        job = _Job(work)
        self._waiting.append(job)
        self._start()
        return job.result

    def _start(self) -> None:
        if self._starting:
            return  # the loop further up the stack starts it
        self._starting = True
        try:
            while self._waiting and self._running < self._limit:
                job = self._waiting.popleft()
                if not job.result.called:  # else cancelled
                    self._running += 1
                    job.running = Deferred.fromCoroutine(job.work())
                    job.running.addBoth(self._ended, job)
        finally:
            self._starting = False

    def _ended(self, outcome: Any | Failure, job: _Job) -> None:
        self._running -= 1
        if not job.result.called:
            job.result.callback(outcome)
        self._start()
