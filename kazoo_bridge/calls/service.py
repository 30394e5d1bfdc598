"""The front door to live calls: `ICalls`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from attrs import define
from zope.interface import implementer

from kazoo_bridge.calls.channel_queries import Channel, ChannelQueries
from kazoo_bridge.calls.command_validation import is_valid_call_id, validate_command, validate_flow
from kazoo_bridge.calls.kazoo_messages import Message, action_command, flow_command
from kazoo_bridge.calls.live_calls import LiveCalls
from kazoo_bridge.config import Config
from kazoo_bridge.interfaces import CallChange, CommandRefused, IBus, ICalls, ICallWatch, UnknownCall


@implementer(ICalls)
@define(eq=False)
class CallService:
    """Lists, commands and watches live calls. Nothing is cached: each query asks the switch's nodes."""

    _bus: IBus
    _queries: ChannelQueries
    _live_calls: LiveCalls

    @classmethod
    def from_config(cls, reactor: Any, config: Config, bus: IBus) -> CallService:
        """Build the parts; nothing runs yet."""
        queries = ChannelQueries(bus, config.calls.query_timeout_ms / 1000)
        return cls(bus, queries, LiveCalls(reactor, bus, queries))

    def start(self) -> None:
        """Be ready to consume call events; none are bound while no account is watched."""
        self._live_calls.start()

    async def stop(self) -> None:
        """End all watches and stop consuming."""
        await self._live_calls.stop()

    @property
    def watched(self) -> int:
        """The number of accounts that are watched."""
        return len(self._live_calls)

    async def channels(self, account_id: str) -> list[Channel]:
        """See `ICalls.channels`."""
        return await self._queries.for_account(account_id)

    async def channel(self, account_id: str, call_id: str) -> Channel | None:
        """See `ICalls.channel`."""
        return await self._queries.by_call_id(account_id, call_id) if is_valid_call_id(call_id) else None

    async def command(self, account_id: str, call_id: str, command: str, data: Mapping[str, Any]) -> str:
        """See `ICalls.command`."""

        def make_message(channel: Channel) -> Message:
            validated = validate_command(command, data)
            if command == "transfer" and not (channel.get("other_leg_call_id") or channel.get("other_leg")):
                raise CommandRefused(
                    {"other_leg_call_id": {"required": {"message": "the channel is connected to no other"}}}
                )
            return action_command(call_id, command, validated)

        return await self._publish(account_id, call_id, make_message, f"{command} initiated")

    async def flow(self, account_id: str, call_id: str, flow: Mapping[str, Any]) -> str:
        """See `ICalls.flow`."""

        def make_message(_: Channel) -> Message:
            return flow_command(call_id, validate_flow(flow))

        return await self._publish(account_id, call_id, make_message, "metaflow sent")

    def watch(self, account_id: str, watcher: Callable[[CallChange], None]) -> ICallWatch:
        """See `ICalls.watch`."""
        return self._live_calls.watch(account_id, watcher)

    async def _publish(
        self, account_id: str, call_id: str, make_message: Callable[[Channel], Message], answer: str
    ) -> str:
        """Publish a message to a call that the account has, and return `answer`."""
        channel = await self.channel(account_id, call_id)
        if channel is None:
            raise UnknownCall(call_id)
        await self._bus.publish(*make_message(channel))
        return answer
