"""Pauses the stored deliveries of disabled hooks, and resumes them when the hook is enabled again."""

from __future__ import annotations

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from kazoo_bridge.interfaces import IDeliveryStore, IHookStore
from kazoo_bridge.webhooks.delivery.fair_scheduler import FairScheduler
from kazoo_bridge.webhooks.delivery.poll_timer import PollTimer
from kazoo_bridge.webhooks.hooks.registry import HookRegistry

_log = Logger()

#: Seconds between two searches for paused deliveries of hooks that are enabled.
_RESUME_INTERVAL = 30.0


@define(eq=False)
class PausedDeliveries:
    """Keeps the state of stored deliveries in step with the state of their hooks."""

    _clock: IReactorTime
    _deliveries: IDeliveryStore
    _hooks: IHookStore
    _registry: HookRegistry
    _scheduler: FairScheduler
    _poll_timer: PollTimer
    _resumed_at: float | None = field(init=False, default=None)
    #: Hooks that are being resumed, and whether that is to be repeated.
    _resuming: dict[str, bool] = field(init=False, factory=dict)
    #: Hooks that were not found, but of which another source's deliveries stay: they are not sought again.
    _resting: set[str] = field(init=False, factory=set)

    def on_hook_loaded(self, hook_id: str, became_enabled: bool) -> None:
        """Follow a change of a hook: close its circuit and, if it became enabled, resume its deliveries.

        Their number in flight at the same time grows slowly.
        """
        self._scheduler.reset(hook_id)
        if became_enabled:
            self.resume_soon(hook_id)

    def resume_soon(self, hook_id: str) -> None:
        """Make the paused deliveries of a hook due, with one write for all calls during a write before it."""
        if not self._poll_timer.running:
            return
        if hook_id in self._resuming:
            self._resuming[hook_id] = True
            return
        Deferred.fromCoroutine(self._resume_until_done(hook_id)).addErrback(
            lambda failure: _log.warn(
                "resuming deliveries failed, repeated in {interval} s hook_id={hook_id} reason={reason}",
                interval=_RESUME_INTERVAL,
                hook_id=hook_id,
                reason=failure.value,
            )
        )

    async def _resume_until_done(self, hook_id: str) -> None:
        self._resuming[hook_id] = True
        try:
            while self._resuming[hook_id]:
                self._resuming[hook_id] = False
                await self.resume(hook_id)
        finally:
            del self._resuming[hook_id]

    async def resume(self, hook_id: str) -> None:
        """Make the paused deliveries of a hook due; raises `StorageUnavailable`."""
        now = self._clock.seconds()
        # Another node may have resumed them already; this one sends its share of them as slowly.
        resumed = await self._deliveries.resume(hook_id, now)
        hook = self._registry.get(hook_id)
        if hook is not None and (resumed or await self._deliveries.waiting_counts([hook_id])):
            self._scheduler.start_slowly(hook)
        self._poll_timer.wake(now)

    async def resume_enabled(self) -> None:
        """Resume what a crash or a refused write has left paused; raises `StorageUnavailable`.

        Deletes what was stored when its hook had just been deleted; deliveries of hooks of another
        ``webhooks.source`` rest. Does nothing more often than every 30 s.
        """
        now = self._clock.seconds()
        if self._resumed_at is not None and now - self._resumed_at < _RESUME_INTERVAL:
            return
        paused = await self._deliveries.paused_hooks()
        self._resting.intersection_update(paused)
        for hook_id in paused:
            if self._registry.get(hook_id) is not None:
                await self.resume(hook_id)
        unknown = {hook_id for hook_id in paused if self._registry.find(hook_id) is None} - self._resting
        if unknown:
            for hook_id in unknown - {hook.id for hook in await self._hooks.by_ids(unknown)}:
                await self._delete(hook_id)
        self._resumed_at = now

    async def pause(self, hook_id: str) -> None:
        """Pause the deliveries of a hook that has been disabled; raises `StorageUnavailable`."""
        await self._deliveries.pause(hook_id)

    async def pause_or_delete(self, hook_id: str) -> None:
        """Pause the deliveries of a disabled hook, delete those of a deleted hook.

        Raises `StorageUnavailable`.
        """
        if await self._hooks.by_ids([hook_id]):
            await self._deliveries.pause(hook_id)
        else:
            await self._delete(hook_id)

    async def _delete(self, hook_id: str) -> None:
        kept = await self._deliveries.delete(hook_id)
        if not kept:
            # Deleting a hook deletes its deliveries; these were stored at the same time.
            _log.warn("deliveries deleted, there is no such hook hook_id={hook_id}", hook_id=hook_id)
            return
        if hook_id not in self._resting:
            self._resting.add(hook_id)
            _log.warn(
                "deliveries rest, their hook is of another webhooks.source hook_id={hook_id} count={count}",
                hook_id=hook_id,
                count=kept,
            )
