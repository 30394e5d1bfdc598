"""Deletes stored rows whose retention time is over."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy import Connection
from twisted.application.internet import TimerService
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from kazoo_bridge.interfaces import StorageUnavailable
from kazoo_bridge.storage import change_log, tokens
from kazoo_bridge.storage.database import Database

#: Deletes or marks rows that are too old at a time (Unix seconds) and returns how many. So that
#: transactions stay short, a call may leave some to the next call; 0 means that nothing is left.
Purge = Callable[[Connection, float], int]

#: Rows that one statement of a purge changes at most, so that other writes do not wait long.
BATCH_SIZE = 5000

#: Calls of one purge in a run. Bounded, so that a table that grows faster does not block the other purges.
MAX_CALLS = 1000

#: Seconds between two runs.
RETENTION_INTERVAL = 600.0


class RetentionService(TimerService):
    """Runs purges regularly, each until nothing is left for it.

    Stopping waits for the transaction in progress.
    """

    log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        database: Database,
        purges: Sequence[Purge] = (change_log.purge, tokens.purge),
        interval: float = RETENTION_INTERVAL,
    ) -> None:
        """Run nothing yet. `interval` is in seconds; the first run is at the start of the service."""
        super().__init__(interval, lambda: Deferred.fromCoroutine(self._run_purges()))
        self.clock = clock
        self._clock = clock
        self._database = database
        self._purges = purges
        self._stopping = False

    def startService(self) -> None:
        """Run the purges now, and then regularly."""
        self._stopping = False
        super().startService()

    def stopService(self) -> Deferred[None]:
        """Stop; fires when the run in progress has ended, in which each remaining purge is called once."""
        self._stopping = True
        stopped: Deferred[None] = super().stopService()
        return stopped

    async def _run_purges(self) -> None:
        for purge in self._purges:
            try:
                await self._run_purge(purge)
            except StorageUnavailable as error:
                self.log.warn("purge failed reason={reason}", reason=str(error))
            except Exception:
                self.log.failure("purge failed")

    async def _run_purge(self, purge: Purge) -> None:
        # Each call is a transaction of its own, so that other writes run in between.
        for _ in range(MAX_CALLS):
            removed = await self._database.write(lambda connection: purge(connection, self._clock.seconds()))
            if not removed or self._stopping:
                return
