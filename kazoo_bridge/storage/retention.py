"""Removes what has had its time."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy import Connection
from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from kazoo_bridge.interfaces import StorageUnavailable
from kazoo_bridge.storage import change_log, tokens
from kazoo_bridge.storage.database import Database

#: Deletes what is older than it should be at a time (Unix seconds); returns how many rows. It may leave some for the next call, so that no
#: transaction lasts long; 0: nothing is left.
Purge = Callable[[Connection, float], int]

#: Calls of one purge in one round; bounded so that whatever grows faster than that does not keep the others from being cleaned.
_MAX_CALLS = 1000


class RetentionService(Service):
    """Every `interval` seconds runs each purge until nothing is left for it: by default old changes and expired tokens."""

    log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        database: Database,
        purges: Sequence[Purge] = (change_log.purge, tokens.purge),
        interval: float = 600,
    ) -> None:
        self._clock = clock
        self._database = database
        self._purges = purges
        self._interval = interval
        self._loop = LoopingCall(self._run)
        self._loop.clock = clock
        self._looping: Deferred[None] = succeed(None)

    def startService(self) -> None:
        """Clean now, and then regularly."""
        super().startService()
        self._looping = self._loop.start(self._interval, now=True).addCallback(lambda _: None)
        self._looping.addErrback(
            lambda failure: self.log.failure("the storage is no longer cleaned", failure)
        )

    def stopService(self) -> Deferred[None]:
        """Clean no more; fires when the cleaning under way is over."""
        super().stopService()
        if self._loop.running:
            self._loop.stop()
        return self._looping

    def _run(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._run_purges())

    async def _run_purges(self) -> None:
        for purge in self._purges:
            try:
                await self._run_purge(purge)
            except StorageUnavailable as error:
                self.log.warn("old rows could not be removed yet: {reason}", reason=str(error))
            except Exception:
                self.log.failure("old rows could not be removed")

    async def _run_purge(self, purge: Purge) -> None:
        """Again and again until nothing is left, each in a transaction of its own: other writes come in between."""
        for _ in range(_MAX_CALLS):
            removed = await self._database.write(lambda connection: purge(connection, self._clock.seconds()))
            if not removed or not self.running:
                return
