"""Looks at deliveries that wait or were given up, and makes them again when their owner says so."""

from __future__ import annotations

from attrs import define
from twisted.internet.interfaces import IReactorTime

from kazoo_bridge.interfaces import IDeliveryStore, StoredDelivery
from kazoo_bridge.webhooks.delivery.delivery_writer import DeliveryWriter
from kazoo_bridge.webhooks.delivery.retry_worker import RetryWorker


@define
class DeadLetters:
    """What REST asks for."""

    _clock: IReactorTime
    _store: IDeliveryStore
    _writer: DeliveryWriter
    _retry_worker: RetryWorker

    async def page(
        self, account_id: str, hook_id: str | None, status: str, before: int | None, count: int
    ) -> list[StoredDelivery]:
        """As `IDeliveryStore.page`, with everything that this node knows."""
        await self._writer.flush()
        return await self._store.page(account_id, hook_id, status, before, count)

    async def retry(self, account_id: str, hook_id: str, delivery_id: str) -> bool:
        """Make a delivery again, now; whether there is such a delivery."""
        await self._writer.flush()
        now = self._clock.seconds()
        found = await self._store.retry(account_id, hook_id, delivery_id, now)
        self._retry_worker.wake(now)
        return found

    async def replay(self, account_id: str, hook_id: str | None, since: float) -> int:
        """Make everything of a hook (None: of the account) again that was given up since a time (Unix seconds); how many."""
        await self._writer.flush()
        now = self._clock.seconds()
        count = await self._store.replay(account_id, hook_id, since, now)
        self._retry_worker.wake(now)
        return count
