"""What the switch-facing nodes say about channels: read with distrust, put together, and brought into the public form."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from attrs import field, frozen

from kazoo_bridge.json_numbers import to_integer
from kazoo_bridge.kazoo import Event, normalize

#: A channel in its public form.
Channel = Mapping[str, Any]

#: The switch's own affairs, which are nobody else's.
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

#: More channels than this in one answer are not looked at.
MAX_CHANNELS = 100_000


@frozen
class ChannelReport:
    """What nodes said of an account: its channels, which node named each (by call id), and which nodes answered at all."""

    channels: Sequence[Channel] = ()
    node_of: Mapping[str, str] = field(factory=dict)
    nodes: frozenset[str] = frozenset()


def merge_replies(answers: Iterable[Event], account_id: str) -> ChannelReport:
    """Every channel that the answers name for the account, once each, the oldest first.

    Channels of other accounts, of none, and whatever is no channel are left out. Nodes that know the same channel complete each other.
    """
    found: dict[str, dict[str, Any]] = {}
    named_by: dict[str, str] = {}
    nodes = set()
    for answer in answers:
        node = replying_node(answer.body)
        nodes.add(node)
        for call_id, channel in _listed(answer.body.get("Channels")):
            if channel.get("account_id") == account_id:
                found.setdefault(call_id, {}).update(_public(call_id, channel))
                named_by[call_id] = node
    channels = sorted(found.values(), key=lambda channel: (channel_start(channel), channel["call_id"]))
    return ChannelReport(channels, named_by, frozenset(nodes))


def channels_in(answers: Iterable[Event], account_id: str) -> Sequence[Channel]:
    """The channels of `merge_replies`."""
    return merge_replies(answers, account_id).channels


def replying_node(body: Mapping[str, Any]) -> str:
    """The node that sent a message; empty when it does not say."""
    node = body.get("Node")
    return node if isinstance(node, str) else ""


def channel_start(channel: Channel) -> int:
    """When the channel came into being, in Gregorian seconds; 0 when that is not known."""
    return to_integer(channel.get("timestamp"), accept_text=True) or 0


def _listed(channels: object) -> Iterator[tuple[str, dict[str, Any]]]:
    """(call id, channel with lower-case keys) of both forms that answers have: an object by call id, and a list."""
    if isinstance(channels, Mapping):
        pairs: Iterable[tuple[object, object]] = channels.items()
    else:
        pairs = ((None, channel) for channel in channels) if isinstance(channels, list) else ()
    for number, (name, channel) in enumerate(pairs):
        if number >= MAX_CHANNELS:
            return
        shown = _normalised(channel)
        if shown is not None:
            call_id = name or shown.get("call_id") or shown.get("uuid")
            if isinstance(call_id, str) and call_id:
                yield call_id, shown


def _normalised(channel: object) -> dict[str, Any] | None:
    """None: it is no channel, or nested too deep to be one."""
    try:
        return normalize(channel) if isinstance(channel, Mapping) else None
    except RecursionError:
        return None


def _public(call_id: str, channel: Mapping[str, Any]) -> dict[str, Any]:
    kept = {
        name: value
        for name, value in channel.items()
        if name not in _INTERNAL and not name.startswith("switch_")
    }
    return kept | {"call_id": call_id}
