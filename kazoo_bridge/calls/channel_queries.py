"""Queries the switch's nodes for channels, and merges their replies.

Replies are not trusted: whatever has the wrong form or another account's id is ignored.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from attrs import field, frozen

from kazoo_bridge.calls.kazoo_messages import (
    Message,
    account_channels_query,
    all_channels_query,
    channel_query,
    user_channels_query,
)
from kazoo_bridge.interfaces import IBus
from kazoo_bridge.kazoo import Event, channel_start, normalize

#: A channel in its public form.
Channel = Mapping[str, Any]

#: Keys of a channel that concern only the switch. Keys that begin with ``switch_`` are hidden, too.
_INTERNAL = frozenset(
    {
        "account_id",
        "app_name",
        "app_version",
        "bridge_id",
        "context",
        "dialplan",
        "event_category",
        "event_name",
        "fetch_id",
        "handling_locally",
        "media_node",
        "msg_id",
        "node",
        "precedence",
        "profile",
        "realm",
        "server_id",
    }
)

#: Channels of one reply that are read; further ones are ignored.
MAX_CHANNELS = 100_000


@frozen
class ChannelReport:
    """The merged replies about one account.

    `channels` are the account's channels, the oldest first; `node_of` has the node that reported each, by
    call id; `nodes` are all nodes that replied.
    """

    channels: Sequence[Channel] = ()
    node_of: Mapping[str, str] = field(factory=dict)
    nodes: frozenset[str] = frozenset()


@frozen
class ChannelQueries:
    """Queries the nodes and collects replies for `timeout` seconds, since the number of nodes is unknown."""

    _bus: IBus
    timeout: float

    async def for_account(self, account_id: str) -> list[Channel]:
        """Return the account's channels, the oldest first. Raises `BusUnavailable`."""
        report = await self.report_for_account(account_id)
        return list(report.channels) if report is not None else []

    async def for_users(self, account_id: str, usernames: Sequence[str], realm: str) -> list[Channel]:
        """Return the account's channels of SIP user names of its realm. Raises `BusUnavailable`."""
        return await self._merged(user_channels_query(account_id, usernames, realm), account_id)

    async def of_all_accounts(self) -> list[Channel]:
        """Return the channels of all accounts, the oldest first. Raises `BusUnavailable`."""
        return await self._merged(all_channels_query(), None)

    async def _merged(self, query: Message, account_id: str | None) -> list[Channel]:
        exchange, routing_key, body = query
        replies = await self._bus.request(exchange, routing_key, body, timeout=self.timeout)
        return list(merge_replies(replies, account_id).channels)

    async def report_for_account(self, account_id: str) -> ChannelReport | None:
        """Return the merged replies about an account; None if no node replied. Raises `BusUnavailable`."""
        exchange, routing_key, body = account_channels_query(account_id)
        replies = await self._bus.request(exchange, routing_key, body, timeout=self.timeout)
        return merge_replies(replies, account_id) if replies else None

    async def by_call_id(self, account_id: str, call_id: str) -> Channel | None:
        """Return one channel of the account as soon as a node reports it; None if none does in time.

        Raises `BusUnavailable`.
        """

        def find(replies: Sequence[Event]) -> Channel | None:
            channels = merge_replies(replies, account_id).channels
            return next((channel for channel in channels if channel["call_id"] == call_id), None)

        exchange, routing_key, body = channel_query(call_id)
        replies = await self._bus.request(
            exchange, routing_key, body, timeout=self.timeout, done_when=lambda some: find(some) is not None
        )
        return find(replies)


def merge_replies(replies: Iterable[Event], account_id: str | None) -> ChannelReport:
    """Return the account's channels in `replies`, each once; None: those of all accounts.

    Channels that several nodes report are merged. Channels of other accounts or of no account, and values
    that are no channels, are left out.
    """
    found: dict[str, dict[str, Any]] = {}
    node_of: dict[str, str] = {}
    nodes = set()
    for reply in replies:
        node = replying_node(reply.body)
        nodes.add(node)
        for call_id, channel in _iter_channels(reply.body.get("Channels")):
            if account_id is None or channel.get("account_id") == account_id:
                found.setdefault(call_id, {}).update(_public_form(call_id, channel))
                node_of[call_id] = node
    channels = sorted(found.values(), key=lambda channel: (channel_start(channel), channel["call_id"]))
    return ChannelReport(channels, node_of, frozenset(nodes))


def replying_node(body: Mapping[str, Any]) -> str:
    """Return the name of the node that sent a message; empty when the message has none."""
    node = body.get("Node")
    return node if isinstance(node, str) else ""


def _iter_channels(channels: object) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield call id and normalized channel. Replies have an object by call id or a list."""
    if isinstance(channels, Mapping):
        pairs: Iterable[tuple[object, object]] = channels.items()
    else:
        pairs = ((None, channel) for channel in channels) if isinstance(channels, list) else ()
    for number, (key, channel) in enumerate(pairs):
        if number >= MAX_CHANNELS:
            return
        normalized = _normalize_channel(channel)
        if normalized is not None:
            call_id = key or normalized.get("call_id") or normalized.get("uuid")
            if isinstance(call_id, str) and call_id:
                yield call_id, normalized


def _normalize_channel(channel: object) -> dict[str, Any] | None:
    """Return None for what is no object, or is nested too deep."""
    try:
        return normalize(channel) if isinstance(channel, Mapping) else None
    except RecursionError:
        return None


def _public_form(call_id: str, channel: Mapping[str, Any]) -> dict[str, Any]:
    public = {
        name: value
        for name, value in channel.items()
        if name not in _INTERNAL and not name.startswith("switch_")
    }
    return public | {"call_id": call_id}
