"""Waits at the start for a storage that is not there yet."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from attrs import define, field
from twisted.application.internet import backoffPolicy
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from kazoo_bridge.interfaces import StorageUnavailable, StorageUnusable

_log = Logger()

#: Seconds before attempt n to use the storage: from 0.5 to 15, and up to one more at random.
RETRY_DELAY = backoffPolicy(initialDelay=0.5, maxDelay=15.0, factor=2.0)


@define(eq=False)
class StorageWait:
    """Repeats what needs the storage until it is there.

    `problem` is the reason why it is not, None before and after the wait. `retry_delay` gives the seconds
    before attempt n (from 1).
    """

    _clock: IReactorTime
    _retry_delay: Callable[[int], float] = RETRY_DELAY
    problem: str | None = field(init=False, default=None)
    _stopped: bool = field(init=False, default=False)
    _pause: Deferred[None] | None = field(init=False, default=None)

    async def run(
        self, work: Callable[[], Awaitable[None]], on_waiting: Callable[[], Awaitable[None]]
    ) -> None:
        """Run `work` until it does not raise `StorageUnavailable`; call `on_waiting` before the first wait.

        Raises `StorageUnusable` at once; after `stop` the failure of `work`, or
        `twisted.internet.defer.CancelledError` if it waits.
        """
        attempt = 0
        while True:
            try:
                await work()
            except StorageUnusable:
                raise
            except StorageUnavailable as error:
                if self._stopped:
                    raise
                attempt += 1
                first, self.problem = self.problem is None, str(error)
                _log.warn("waiting for the storage reason={reason}", reason=self.problem)
                if first:
                    await on_waiting()
                await self._wait(self._retry_delay(attempt))
            else:
                if self.problem is not None:
                    _log.info("the storage is there")
                self.problem = None
                return

    def stop(self) -> None:
        """Wait no more."""
        self._stopped = True
        if self._pause is not None:
            self._pause.cancel()

    async def _wait(self, seconds: float) -> None:
        self._pause = deferLater(self._clock, seconds)
        if self._stopped:
            self._pause.cancel()
        await self._pause
