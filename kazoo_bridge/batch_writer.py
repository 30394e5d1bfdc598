"""Collects writes for a moment and makes them together; repeats them while the storage is unavailable."""

from __future__ import annotations

from attrs import define, field
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from kazoo_bridge.interfaces import StorageUnavailable

_log = Logger()

#: Seconds after which a write that the storage refused is repeated.
RETRY_INTERVAL = 1.0

#: Items that are written in one transaction.
BATCH_SIZE = 500


@define(eq=False)
class BatchWriter(Service):
    """Base of writers that collect: they call `schedule_flush`, and define `_write_batches`.

    At most one write is active; all calls of `flush` during a write share a single following one, so that
    slow writes do not pile up.
    """

    _clock: IReactorTime
    _timer: IDelayedCall | None = field(init=False, default=None)
    _flushes: list[Deferred[None]] = field(init=False, factory=list)
    _writing: bool = field(init=False, default=False)
    _unavailable: bool = field(init=False, default=False)

    #: What is written, in the plural, for the log.
    content = "records"

    #: Seconds for which writes are collected.
    collect_interval = 0.0

    async def _write_batches(self) -> None:
        """Write all that has been collected.

        Raises `StorageUnavailable` when the rest has been put back, to be written later.
        """
        raise NotImplementedError

    def schedule_flush(self) -> None:
        """Write what has been collected, within `collect_interval` seconds."""
        self._flush_after(self.collect_interval)

    def flush(self) -> Deferred[None]:
        """Write what has been collected.

        Fires when a write that began after this call has ended, whether or not the storage was available.
        Fails with what `_write_batches` raises besides `StorageUnavailable`.
        """
        flushed: Deferred[None] = Deferred()
        self._flushes.append(flushed)
        if not self._writing:
            Deferred.fromCoroutine(self._write_until_flushed()).addErrback(
                lambda failure: _log.failure("writing {content} has stopped", failure, content=self.content)
            )
        return flushed

    def stopService(self) -> Deferred[None]:
        """Write what has been collected, once; fires when that has ended. Nothing is repeated later."""
        super().stopService()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        return self.flush()

    def _flush_after(self, seconds: float) -> None:
        if self._timer is None:
            self._timer = self._clock.callLater(seconds, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self.flush().addErrback(
            lambda failure: _log.failure("writing {content} failed", failure, content=self.content)
        )

    async def _write_until_flushed(self) -> None:
        self._writing = True
        while self._flushes:
            flushes, self._flushes = self._flushes, []
            failure = await self._write()
            for flushed in flushes:
                if failure is None:
                    flushed.callback(None)
                else:
                    flushed.errback(failure)
        self._writing = False

    async def _write(self) -> Failure | None:
        try:
            await self._write_batches()
        except StorageUnavailable as error:
            if not self._unavailable:
                _log.warn("{content} cannot be written for now: {reason}", content=self.content, reason=error)
            self._unavailable = True
            if self.running:
                self._flush_after(RETRY_INTERVAL)
            return None
        except Exception:
            return Failure()
        if self._unavailable:
            _log.info("{content} are written again", content=self.content)
        self._unavailable = False
        return None
