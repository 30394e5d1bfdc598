"""The live calls of all nodes of the switch, as this node shows and commands them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from attrs import define
from twisted.internet.defer import Deferred
from zope.interface import implementer

from kazoo_bridge.calls.channel_queries import ChannelQueries
from kazoo_bridge.calls.channel_replies import Channel
from kazoo_bridge.calls.commands import CommandSender, is_valid_call_id
from kazoo_bridge.calls.live_calls import LiveCalls
from kazoo_bridge.config import Config
from kazoo_bridge.interfaces import CallChange, IBus, ICalls, ICallWatch


@implementer(ICalls)
@define(eq=False)
class CallService:
    """Puts the parts together."""

    _channels: ChannelQueries
    _commands: CommandSender
    _live: LiveCalls

    @classmethod
    def from_config(cls, reactor: Any, config: Config, bus: IBus) -> CallService:
        """Put the parts together; nothing runs yet."""
        channels = ChannelQueries(bus, config.calls.query_timeout_ms / 1000)
        return cls(channels, CommandSender(bus, channels), LiveCalls(reactor, bus, channels))

    def start(self) -> None:
        """Be ready to follow events."""
        self._live.start()

    async def stop(self) -> None:
        """Follow nothing any more."""
        await self._live.stop()

    @property
    def watched(self) -> int:
        """How many accounts somebody watches."""
        return len(self._live)

    def channels(self, account_id: str) -> Deferred[list[Channel]]:
        """See `ICalls`."""
        return Deferred.fromCoroutine(self._channels.for_account(account_id))

    def channel(self, account_id: str, call_id: str) -> Deferred[Channel | None]:
        """See `ICalls`."""
        return Deferred.fromCoroutine(self._one(account_id, call_id))

    def command(self, account_id: str, call_id: str, command: str, data: Mapping[str, Any]) -> Deferred[str]:
        """See `ICalls`."""
        return Deferred.fromCoroutine(self._commands.send(account_id, call_id, command, data))

    def flow(self, account_id: str, call_id: str, flow: Mapping[str, Any]) -> Deferred[str]:
        """See `ICalls`."""
        return Deferred.fromCoroutine(self._commands.send_flow(account_id, call_id, flow))

    def watch(self, account_id: str, watcher: Callable[[CallChange], None]) -> ICallWatch:
        """See `ICalls`."""
        return self._live.watch(account_id, watcher)

    async def _one(self, account_id: str, call_id: str) -> Channel | None:
        return await self._channels.by_call_id(account_id, call_id) if is_valid_call_id(call_id) else None
