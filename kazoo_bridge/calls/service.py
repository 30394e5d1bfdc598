"""The front door to live calls: `ICalls`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any

from attrs import define
from zope.interface import implementer

from kazoo_bridge.calls.channel_queries import Channel, ChannelQueries
from kazoo_bridge.calls.command_schemas import COMMAND_SCHEMAS
from kazoo_bridge.calls.command_urls import UrlCheck, command_urls, flow_urls, require_permitted
from kazoo_bridge.calls.command_validation import is_valid_call_id, validate_command, validate_flow
from kazoo_bridge.calls.kazoo_messages import Message, action_command, flow_command
from kazoo_bridge.calls.live_calls import LiveCalls
from kazoo_bridge.calls.new_calls.endpoints import EndpointFinder
from kazoo_bridge.calls.new_calls.placer import NewCallPlacer
from kazoo_bridge.config import Config
from kazoo_bridge.interfaces import (
    CallChange,
    CommandRefused,
    IBus,
    ICalls,
    ICallWatch,
    IDirectory,
    IQuickcall,
    NewCall,
    UnknownCall,
)
from kazoo_bridge.token_bucket import KeyedTokenBuckets


@implementer(ICalls)
@define(eq=False)
class CallService:
    """Lists, commands and watches live calls. Nothing is cached: each query asks the switch's nodes.

    `check_url` judges the URLs in commands; with None all are passed on.
    """

    _bus: IBus
    _queries: ChannelQueries
    _live_calls: LiveCalls
    _new_calls: NewCallPlacer
    _check_url: UrlCheck | None = None

    @classmethod
    def from_config(
        cls,
        reactor: Any,
        config: Config,
        bus: IBus,
        check_url: UrlCheck | None = None,
        directory: IDirectory | None = None,
    ) -> CallService:
        """Build the parts; nothing runs yet.

        `check_url` is used if ``calls.check_urls`` is set. `directory` knows the people's telephones, which
        new calls let ring.
        """
        queries = ChannelQueries(bus, config.calls.query_timeout_ms / 1000)
        check = check_url if config.calls.check_urls else None
        per_minute = config.calls.new_calls_per_minute
        new_calls = NewCallPlacer(
            reactor,
            bus,
            queries,
            EndpointFinder(directory),
            IQuickcall(directory) if IQuickcall.providedBy(directory) else None,
            KeyedTokenBuckets(reactor, per_minute, 60 / per_minute),
            config.calls.query_timeout_ms / 1000,
            config.calls.allow_eavesdrop,
        )
        return cls(bus, queries, LiveCalls(reactor, bus, queries), new_calls, check)

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

    async def user_channels(self, account_id: str, usernames: Sequence[str], realm: str) -> list[Channel]:
        """See `ICalls.user_channels`."""
        return await self._queries.for_users(account_id, usernames, realm) if usernames else []

    async def all_channels(self) -> list[Channel]:
        """See `ICalls.all_channels`."""
        return await self._queries.of_all_accounts()

    async def channel(self, account_id: str, call_id: str) -> Channel | None:
        """See `ICalls.channel`."""
        return await self._queries.by_call_id(account_id, call_id) if is_valid_call_id(call_id) else None

    async def command(self, account_id: str, call_id: str, command: str, data: Mapping[str, Any]) -> str:
        """See `ICalls.command`."""

        async def make_message(channel: Channel) -> Message:
            validated = validate_command(command, data)
            await self._require_permitted(command_urls(command, validated))
            if command == "transfer" and not (channel.get("other_leg_call_id") or channel.get("other_leg")):
                raise CommandRefused(
                    {"other_leg_call_id": {"required": {"message": "the channel is connected to no other"}}}
                )
            return action_command(call_id, COMMAND_SCHEMAS[command].action or command, validated)

        return await self._publish(account_id, call_id, make_message, f"{command} initiated")

    async def flow(self, account_id: str, call_id: str, flow: Mapping[str, Any]) -> str:
        """See `ICalls.flow`."""

        async def make_message(_: Channel) -> Message:
            validated = validate_flow(flow)
            await self._require_permitted(flow_urls(validated))
            return flow_command(call_id, validated)

        return await self._publish(account_id, call_id, make_message, "metaflow sent")

    async def place(
        self,
        account_id: str,
        command: str,
        data: Mapping[str, Any],
        on_outcome: Callable[[NewCall], None] | None = None,
    ) -> NewCall:
        """See `ICalls.place`."""
        return await self._new_calls.place(account_id, command, data, on_outcome)

    def watch(self, account_id: str, watcher: Callable[[CallChange], None]) -> ICallWatch:
        """See `ICalls.watch`."""
        return self._live_calls.watch(account_id, watcher)

    async def _require_permitted(self, urls: Iterator[tuple[str, str]]) -> None:
        if self._check_url is not None:
            await require_permitted(urls, self._check_url)

    async def _publish(
        self,
        account_id: str,
        call_id: str,
        make_message: Callable[[Channel], Awaitable[Message]],
        answer: str,
    ) -> str:
        """Publish a message to a call that the account has, and return `answer`."""
        channel = await self.channel(account_id, call_id)
        if channel is None:
            raise UnknownCall(call_id)
        await self._bus.publish(*await make_message(channel))
        return answer
