"""Looks at deliveries that wait or were given up, and makes them again when their owner says so."""

from __future__ import annotations

from attrs import define
from twisted.internet.interfaces import IReactorTime

from kazoo_bridge.interfaces import IDeliveryStore, StoredDelivery
from kazoo_bridge.webhooks.pending import Pending
from kazoo_bridge.webhooks.redelivery import Redelivery


@define
class Replay:
    """What REST asks for."""

    _clock: IReactorTime
    _store: IDeliveryStore
    _pending: Pending
    _redelivery: Redelivery

    async def listed(self, account_id: str, hook_id: str | None, status: str, before: int | None, count: int) -> list[StoredDelivery]:
        """As `IDeliveryStore.listed`, with everything that this node knows."""
        await self._pending.flush()
        return await self._store.listed(account_id, hook_id, status, before, count)

    async def retry(self, account_id: str, hook_id: str, delivery_id: str) -> bool:
        """Make a delivery again, now; whether there is such a delivery."""
        await self._pending.flush()
        now = self._clock.seconds()
        found = await self._store.retry(account_id, hook_id, delivery_id, now)
        self._redelivery.wake(now)
        return found

    async def recover(self, account_id: str, hook_id: str | None, since: float) -> int:
        """Make everything of a hook (None: of the account) again that was given up since a time (Unix seconds); how many."""
        await self._pending.flush()
        now = self._clock.seconds()
        count = await self._store.recover(account_id, hook_id, since, now)
        self._redelivery.wake(now)
        return count
