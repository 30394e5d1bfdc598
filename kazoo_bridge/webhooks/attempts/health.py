"""Reports the recent successes and failures of hooks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import define
from twisted.internet.interfaces import IReactorTime

from kazoo_bridge.config import Webhooks
from kazoo_bridge.interfaces import (
    HookHealth,
    IAttemptStore,
    IDeliveryStore,
    ILimitStore,
    IMissedEventStore,
    StoredHook,
)
from kazoo_bridge.kazoo import to_gregorian
from kazoo_bridge.webhooks.attempts.attempt_recorder import AttemptRecorder
from kazoo_bridge.webhooks.delivery.fair_scheduler import FairScheduler


@define
class HealthReport:
    """Builds the field ``health`` of hooks."""

    _clock: IReactorTime
    _config: Webhooks
    _attempts: IAttemptStore
    _limits: ILimitStore
    _deliveries: IDeliveryStore
    _missed_events: IMissedEventStore
    _recorder: AttemptRecorder
    _scheduler: FairScheduler

    async def for_hook(self, hook: StoredHook) -> dict[str, Any]:
        """Like `for_hooks`, for one hook."""
        return (await self.for_hooks([hook]))[hook.id]

    async def for_hooks(self, hooks: Sequence[StoredHook]) -> dict[str, dict[str, Any]]:
        """Return the health of hooks of one account, by hook id; raises `StorageUnavailable`.

        Keys: ``last_success`` and ``last_failure`` (Gregorian seconds, absent when there was none),
        ``successes`` and ``failures`` (attempts), ``failures_in_window`` (events), ``deliveries_waiting``,
        ``deliveries_dead``, ``events_missed``, and the latter by reason, ``missed_by_reason``. For a
        suspended hook also ``suspended_since`` and ``next_probe`` (Gregorian seconds) and ``probes``.
        """
        if not hooks:
            return {}
        ids = [hook.id for hook in hooks]
        health = await self._recorder.health(ids)
        since = self._clock.seconds() - await self._window_for(hooks[0].account_id)
        recent_failures = await self._attempts.failures({hook.id: hook.revision for hook in hooks}, since)
        stored = await self._deliveries.waiting_counts(ids)
        dead = await self._deliveries.dead_counts(ids)
        missed = await self._missed_events.counts(ids)
        return {
            hook.id: _report(health.get(hook.id, HookHealth()))
            | {
                "failures_in_window": recent_failures.get(hook.id, 0),
                "deliveries_waiting": self._scheduler.load(hook.id) + stored.get(hook.id, 0),
                "deliveries_dead": dead.get(hook.id, 0),
                "events_missed": sum(missed.get(hook.id, {}).values()),
                "missed_by_reason": missed.get(hook.id, {}),
            }
            | _suspension_report(hook)
            for hook in hooks
        }

    async def _window_for(self, account_id: str) -> float:
        """The time within which failures are counted, in seconds."""
        window_ms = (await self._limits.get(account_id)).attempt_failure_expiry_ms
        return (self._config.attempt_failure_expiry_ms if window_ms is None else window_ms) / 1000


def _suspension_report(hook: StoredHook) -> dict[str, Any]:
    if hook.suspension is None:
        return {}
    return {
        "suspended_since": to_gregorian(hook.suspension.since),
        "next_probe": to_gregorian(hook.suspension.next_probe),
        "probes": hook.suspension.probes,
    }


def _report(health: HookHealth) -> dict[str, Any]:
    report = {"successes": health.successes, "failures": health.failures}
    for name, moment in (("last_success", health.last_success), ("last_failure", health.last_failure)):
        if moment is not None:
            report[name] = to_gregorian(moment)
    return report
