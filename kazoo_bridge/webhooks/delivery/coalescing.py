"""Work that is never under way twice, however many ask for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure


@define(eq=False)
class CoalescingTask:
    """Does `work` in rounds, one after another.

    Whoever asks during a round shares the next one with all others who do, so that work which takes its time does not collect them.
    """

    _work: Callable[[], Awaitable[None]]
    _requested: list[Deferred[None]] = field(init=False, factory=list)
    _running: bool = field(init=False, default=False)

    def run(self) -> Deferred[None]:
        """Fires when a round that began after this call is over; fails with what that raised."""
        asked: Deferred[None] = Deferred()
        self._requested.append(asked)
        if not self._running:
            Deferred.fromCoroutine(self._run())
        return asked

    async def _run(self) -> None:
        self._running = True
        while self._requested:
            asked, self._requested = self._requested, []
            failure = await self._run_once()
            for one in asked:
                if failure is None:
                    one.callback(None)
                else:
                    one.errback(failure)
        self._running = False

    async def _run_once(self) -> Failure | None:
        try:
            await self._work()
        except Exception:
            return Failure()
        return None
