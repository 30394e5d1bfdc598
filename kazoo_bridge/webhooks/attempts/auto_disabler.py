"""Disables hooks that fail too often."""

from __future__ import annotations

from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from kazoo_bridge.interfaces import BusUnavailable, IAttemptStore, IBus, ILimitStore, StorageUnavailable
from kazoo_bridge.webhooks.attempts.attempt_recorder import AttemptRecorder
from kazoo_bridge.webhooks.hooks.hook_service import TOO_MANY_FAILURES, HookService
from kazoo_bridge.webhooks.kazoo_messages import webhook_disabled

_log = Logger()


#: For accounts with a very short window nobody looks more often than this, in seconds.
MIN_CHECK_INTERVAL = 1.0


class AutoDisabler(Service):
    """Looks every quarter of the window for hooks with `count` failures within the last `window` seconds.

    It counts what is stored, so the failures of all nodes; an account's own limits go before these, and with a shorter window than this
    among them it looks more often.
    """

    def __init__(
        self,
        clock: IReactorTime,
        store: IAttemptStore,
        limits: ILimitStore,
        recorder: AttemptRecorder,
        hooks: HookService,
        bus: IBus,
        count: int,
        window: float,
    ) -> None:
        self._clock = clock
        self._store = store
        self._limits = limits
        self._recorder = recorder
        self._hooks = hooks
        self._bus = bus
        self._count = count
        self._window = window
        self._loop = LoopingCall(self._schedule_check)
        self._loop.clock = clock
        self._looping: Deferred[None] = succeed(None)

    def startService(self) -> None:
        """Begin to look."""
        super().startService()
        self._looping = self._loop.start(self._window / 4, now=False).addCallback(lambda _: None)
        self._looping.addErrback(
            lambda failure: _log.failure("failing hooks are no longer disabled", failure)
        )

    def stopService(self) -> Deferred[None]:
        """Look no more; fires when the look under way is over."""
        super().stopService()
        if self._loop.running:
            self._loop.stop()
        return self._looping

    def _schedule_check(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._safely())

    async def _safely(self) -> None:
        try:
            await self.check()
            self._loop.interval = await self._interval()
        except StorageUnavailable as error:
            _log.warn("failing hooks cannot be looked for just now: {reason}", reason=error)
        except Exception:
            _log.failure("failing hooks cannot be looked for")

    async def _interval(self) -> float:
        usual, shortest = self._window / 4, await self._limits.shortest_expiry_ms()
        return usual if shortest is None else min(usual, max(shortest / 4000, MIN_CHECK_INTERVAL))

    async def check(self) -> None:
        """Disable every hook that is over its limit, and tell the bus."""
        await self._recorder.flush()
        for account_id, hook_id, revision in await self._store.hooks_over_failure_limit(
            self._clock.seconds(), self._count, self._window
        ):
            await self.disable(account_id, hook_id, revision, TOO_MANY_FAILURES)

    async def disable(self, account_id: str, hook_id: str, revision: str, reason: str) -> None:
        """Disable one hook, and tell the bus; does nothing when it is disabled already or has been changed since `revision`."""
        if not await self._hooks.disable(account_id, hook_id, revision, reason):
            return
        _log.warn(
            "hook {hook_id} of account {account_id} is disabled: {reason}",
            hook_id=hook_id,
            account_id=account_id,
            reason=reason,
        )
        # Not waited for: a broker that is slow shall not hold up what else is to be done about a failure.
        self._bus.publish(*webhook_disabled(account_id, hook_id)).addErrback(self._publish_failed, hook_id)

    def _publish_failed(self, failure: Failure, hook_id: str) -> None:
        failure.trap(BusUnavailable)
        _log.warn(
            "nobody is notified that hook {hook_id} is disabled: {reason}",
            hook_id=hook_id,
            reason=failure.value,
        )
