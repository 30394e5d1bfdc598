"""Disables hooks that fail too often."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from attrs import define, field
from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from kazoo_bridge.config import Webhooks
from kazoo_bridge.interfaces import (
    IAttemptStore,
    ILimitStore,
    StorageUnavailable,
    Suspension,
)
from kazoo_bridge.webhooks.attempts.attempt_recorder import AttemptRecorder
from kazoo_bridge.webhooks.delivery.probe_schedule import ProbeSchedule
from kazoo_bridge.webhooks.hooks.hook_service import TOO_MANY_FAILURES, HookService
from kazoo_bridge.webhooks.kazoo_messages import webhook_disabled
from kazoo_bridge.webhooks.notification_sender import NotificationSender

_log = Logger()

#: Seconds between two checks, however short an account's window is.
MIN_CHECK_INTERVAL = 1.0


@define(eq=False)
class AutoDisabler(Service):
    """Disables every hook with `attempt_failure_count` failures within the last `attempt_failure_expiry_ms`.

    It counts stored attempts, and so the failures on all nodes. Per-account limits override these. With
    `self_healing` a hook is suspended: its events are kept until its receiver recovers. `on_suspended` is
    called with its id. The check interval is a quarter of the shortest window in use, at least
    `MIN_CHECK_INTERVAL`.
    """

    _clock: IReactorTime
    _config: Webhooks
    _attempts: IAttemptStore
    _limits: ILimitStore
    _recorder: AttemptRecorder
    _hooks: HookService
    _notifications: NotificationSender
    _probe_schedule: ProbeSchedule
    _on_suspended: Callable[[str], Awaitable[None]]
    _loop: LoopingCall = field(init=False)
    _ended: Deferred[None] = field(init=False, factory=lambda: succeed(None))

    def __attrs_post_init__(self) -> None:
        self._loop = LoopingCall(self._check_safely)
        self._loop.clock = self._clock

    @property
    def _window(self) -> float:
        """The window of the configuration, in seconds."""
        return self._config.attempt_failure_expiry_ms / 1000

    def startService(self) -> None:
        """Check for the first time after a quarter of the configured window, and from then on."""
        super().startService()
        self._ended = self._loop.start(self._window / 4, now=False).addCallback(lambda _: None)
        self._ended.addErrback(lambda failure: _log.failure("checking for failing hooks ended", failure))

    def stopService(self) -> Deferred[None]:
        """Check no more; fires when the active check has ended."""
        super().stopService()
        if self._loop.running:
            self._loop.stop()
        return self._ended

    async def check(self) -> None:
        """Disable every hook that is over its limit; raises `StorageUnavailable`."""
        await self._recorder.flush()
        over_limit = await self._attempts.hooks_over_failure_limit(
            self._clock.seconds(), self._config.attempt_failure_count, self._window
        )
        for account_id, hook_id, revision in over_limit:
            await self._disable_failing(account_id, hook_id, revision)

    async def _disable_failing(self, account_id: str, hook_id: str, revision: str) -> None:
        if not self._config.self_healing:
            await self.disable(account_id, hook_id, revision, TOO_MANY_FAILURES)
            return
        suspension = self._probe_schedule.begin(self._clock.seconds())
        if await self.disable(account_id, hook_id, revision, TOO_MANY_FAILURES, suspension):
            await self._on_suspended(hook_id)

    async def disable(
        self, account_id: str, hook_id: str, revision: str, reason: str, suspension: Suspension | None = None
    ) -> bool:
        """Disable one hook and publish KAZOO's ``webhook_disabled`` notification; return whether it did.

        With `suspension` the hook is suspended. Does nothing when the hook is disabled already or has been
        changed since `revision`. Raises `StorageUnavailable`.
        """
        if not await self._hooks.disable(account_id, hook_id, revision, reason, suspension):
            return False
        _log.warn(
            "hook disabled hook_id={hook_id} account_id={account_id} reason={reason}",
            hook_id=hook_id,
            account_id=account_id,
            reason=reason,
        )
        self._notifications.send(webhook_disabled(account_id, hook_id))
        return True

    async def _check_safely(self) -> None:
        try:
            await self.check()
            self._loop.interval = await self._interval()
        except StorageUnavailable as error:
            _log.warn("failing hooks cannot be looked for now: {reason}", reason=error)
        except Exception:
            _log.failure("looking for failing hooks failed")

    async def _interval(self) -> float:
        default, shortest_ms = self._window / 4, await self._limits.shortest_expiry_ms()
        return default if shortest_ms is None else min(default, max(shortest_ms / 4000, MIN_CHECK_INTERVAL))
