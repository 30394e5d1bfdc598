"""Lists stored deliveries, and makes waiting and dead ones due at once."""

from __future__ import annotations

from collections.abc import Callable, Collection

from attrs import define
from twisted.internet.interfaces import IReactorTime

from kazoo_bridge.interfaces import IDeliveryStore, StoredDelivery
from kazoo_bridge.webhooks.delivery.delivery_writer import DeliveryWriter


@define
class DeadLetters:
    """What REST offers for stored deliveries. All methods raise `StorageUnavailable`.

    Each writes first what this node has not stored yet, so that its result includes that. `on_due` is called
    with the time (Unix seconds) at which a delivery has become due.
    """

    _clock: IReactorTime
    _store: IDeliveryStore
    _writer: DeliveryWriter
    _on_due: Callable[[float], None]

    async def page(
        self, account_id: str, hook_id: str | None, status: str, before: int | None, count: int
    ) -> list[StoredDelivery]:
        """Like `IDeliveryStore.page`."""
        await self._writer.flush()
        return await self._store.page(account_id, hook_id, status, before, count)

    async def retry(self, account_id: str, hook_id: str, delivery_id: str) -> bool:
        """Make a waiting or dead delivery due now; returns whether it exists."""
        await self._writer.flush()
        now = self._clock.seconds()
        found = await self._store.retry(account_id, hook_id, delivery_id, now)
        self._on_due(now)
        return found

    async def replay(
        self, account_id: str, hook_id: str | None, since: float, except_hooks: Collection[str] = ()
    ) -> int:
        """Make all deliveries due now that died since `since` (Unix seconds), and return how many there are.

        `hook_id` None: those of all hooks of the account, but not of the stored hooks `except_hooks`.
        """
        await self._writer.flush()
        now = self._clock.seconds()
        count = await self._store.replay(account_id, hook_id, since, now, except_hooks)
        self._on_due(now)
        return count
