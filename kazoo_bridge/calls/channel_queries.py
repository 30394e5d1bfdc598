"""Questions to the switch-facing nodes: which channels are there?"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from kazoo_bridge.calls.channel_replies import Channel, ChannelReport, channels_in, merge_replies
from kazoo_bridge.calls.kazoo_messages import account_channels_query, channel_query
from kazoo_bridge.interfaces import IBus
from kazoo_bridge.kazoo import Event


@frozen
class ChannelQueries:
    """Asks, and waits for `timeout` seconds: how many nodes there are is not known."""

    _bus: IBus
    timeout: float

    async def for_account(self, account_id: str) -> list[Channel]:
        """The account's channels, the oldest first; fails with `BusUnavailable`."""
        told = await self.report_for_account(account_id)
        return list(told.channels) if told is not None else []

    async def report_for_account(self, account_id: str) -> ChannelReport | None:
        """The same, and who said so; None when no node answered, so that nothing is known."""
        exchange, routing_key, body = account_channels_query(account_id)
        answers = await self._bus.request(exchange, routing_key, body, timeout=self.timeout)
        return merge_replies(answers, account_id) if answers else None

    async def by_call_id(self, account_id: str, call_id: str) -> Channel | None:
        """One channel of the account, as soon as a node answers for it; None when none does. Fails with `BusUnavailable`."""

        def found(answers: Sequence[Event]) -> Channel | None:
            return next(
                (channel for channel in channels_in(answers, account_id) if channel["call_id"] == call_id),
                None,
            )

        exchange, routing_key, body = channel_query(call_id)
        answers = await self._bus.request(
            exchange, routing_key, body, timeout=self.timeout, done_when=lambda some: found(some) is not None
        )
        return found(answers)
