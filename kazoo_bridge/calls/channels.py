"""Questions to the switch-facing nodes: which channels are there?"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from kazoo_bridge.calls.answers import Channel, Told, channels_of, told_by
from kazoo_bridge.calls.messages import channel_of_id, channels_of_account
from kazoo_bridge.interfaces import IBus
from kazoo_bridge.kazoo import Event


@frozen
class Channels:
    """Asks, and waits for `timeout` seconds: how many nodes there are is not known."""

    _bus: IBus
    timeout: float

    async def of_account(self, account_id: str) -> list[Channel]:
        """The account's channels, the oldest first; fails with `BusUnavailable`."""
        told = await self.told_of_account(account_id)
        return list(told.channels) if told is not None else []

    async def told_of_account(self, account_id: str) -> Told | None:
        """The same, and who said so; None when no node answered, so that nothing is known."""
        exchange, routing_key, body = channels_of_account(account_id)
        answers = await self._bus.ask(exchange, routing_key, body, timeout=self.timeout)
        return told_by(answers, account_id) if answers else None

    async def one(self, account_id: str, call_id: str) -> Channel | None:
        """One channel of the account, as soon as a node answers for it; None when none does. Fails with `BusUnavailable`."""

        def found(answers: Sequence[Event]) -> Channel | None:
            return next((channel for channel in channels_of(answers, account_id) if channel["call_id"] == call_id), None)

        exchange, routing_key, body = channel_of_id(call_id)
        answers = await self._bus.ask(exchange, routing_key, body, timeout=self.timeout, enough=lambda some: found(some) is not None)
        return found(answers)
