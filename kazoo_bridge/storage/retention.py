"""Deletes stored rows whose retention time is over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from types import MappingProxyType

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
        purges: Mapping[str, Purge] = MappingProxyType({"changes": change_log.purge, "tokens": tokens.purge}),
        interval: float = RETENTION_INTERVAL,
    ) -> None:
        """Run nothing yet. `purges` are by name; `interval` is in seconds, the first run at the start."""
        super().__init__(interval, lambda: Deferred.fromCoroutine(self._run_purges()))
        self.clock = clock
        self._clock = clock
        self._database = database
        self._purges = purges
        self._stopping = False
        #: Rows that this node has deleted or marked since the start, by the name of the purge.
        self.purged: Counter[str] = Counter(dict.fromkeys(purges, 0))

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
        for name, purge in self._purges.items():
            try:
                await self._run_purge(name, purge)
            except StorageUnavailable as error:
                self.log.warn("purge failed purge={name} reason={reason}", name=name, reason=str(error))
            except Exception:
                self.log.failure("purge failed purge={name}", name=name)

    async def _run_purge(self, name: str, purge: Purge) -> None:
        # Each call is a transaction of its own, so that other writes run in between.
        for _ in range(MAX_CALLS):
            removed = await self._database.write(lambda connection: purge(connection, self._clock.seconds()))
            self.purged[name] += removed
            if not removed or self._stopping:
                return
