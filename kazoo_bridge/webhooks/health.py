"""How a hook has been doing lately."""

from __future__ import annotations

from typing import Any

from attrs import define
from twisted.internet.interfaces import IReactorTime

from kazoo_bridge.interfaces import IAttemptStore, IDeliveryStore, ILimitStore, StoredHook
from kazoo_bridge.kazoo import to_gregorian
from kazoo_bridge.webhooks.attempts import AttemptRecorder
from kazoo_bridge.webhooks.turns import Turns


@define
class HealthReport:
    """What a hook's owner is told. `window` is in seconds."""

    _clock: IReactorTime
    _store: IAttemptStore
    _limits: ILimitStore
    _recorder: AttemptRecorder
    _turns: Turns
    _deliveries: IDeliveryStore
    _window: float

    async def of(self, hook: StoredHook) -> dict[str, Any]:
        """``last_success`` and ``last_failure`` (Gregorian seconds, absent: not yet), ``failures_in_window``, ``deliveries_waiting``."""
        times = await self._recorder.health(hook.id)
        own = (await self._limits.get(hook.account_id)).attempt_failure_expiry_ms
        window = self._window if own is None else own / 1000
        report: dict[str, Any] = {
            "failures_in_window": await self._store.failures(hook.id, hook.revision, self._clock.seconds() - window),
            "deliveries_waiting": self._turns.waiting(hook.id) + await self._deliveries.waiting(hook.id),
        }
        for name, moment in (("last_success", times.last_success), ("last_failure", times.last_failure)):
            if moment is not None:
                report[name] = to_gregorian(moment)
        return report
