"""How hooks have been doing lately."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import define
from twisted.internet.interfaces import IReactorTime

from kazoo_bridge.interfaces import HookHealth, IAttemptStore, IDeliveryStore, ILimitStore, StoredHook
from kazoo_bridge.kazoo import to_gregorian
from kazoo_bridge.webhooks.attempts.attempt_recorder import AttemptRecorder
from kazoo_bridge.webhooks.delivery.fair_scheduler import FairScheduler


@define
class HealthReport:
    """What the owner of hooks is told. `window` is in seconds."""

    _clock: IReactorTime
    _store: IAttemptStore
    _limits: ILimitStore
    _recorder: AttemptRecorder
    _scheduler: FairScheduler
    _deliveries: IDeliveryStore
    _window: float

    async def for_hook(self, hook: StoredHook) -> dict[str, Any]:
        """As `of_all`, of one hook."""
        return (await self.for_hooks([hook]))[hook.id]

    async def for_hooks(self, hooks: Sequence[StoredHook]) -> dict[str, dict[str, Any]]:
        """By the ids of these hooks of one account: ``last_success`` and ``last_failure`` (Gregorian seconds, absent: not yet),
        ``successes`` and ``failures`` (attempts), ``failures_in_window``, ``deliveries_waiting``.
        """
        if not hooks:
            return {}
        ids = [hook.id for hook in hooks]
        health = await self._recorder.health(ids)
        window = await self._window_for(hooks[0].account_id)
        lately = await self._store.failures(
            {hook.id: hook.revision for hook in hooks}, self._clock.seconds() - window
        )
        kept = await self._deliveries.waiting_counts(ids)
        return {
            hook_id: _report(health.get(hook_id, HookHealth()))
            | {
                "failures_in_window": lately.get(hook_id, 0),
                "deliveries_waiting": self._scheduler.load(hook_id) + kept.get(hook_id, 0),
            }
            for hook_id in ids
        }

    async def _window_for(self, account_id: str) -> float:
        own = (await self._limits.get(account_id)).attempt_failure_expiry_ms
        return self._window if own is None else own / 1000


def _report(health: HookHealth) -> dict[str, Any]:
    report = {"successes": health.successes, "failures": health.failures}
    for name, moment in (("last_success", health.last_success), ("last_failure", health.last_failure)):
        if moment is not None:
            report[name] = to_gregorian(moment)
    return report
