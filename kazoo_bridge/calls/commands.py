"""Commands to live calls, sent only to calls that the account has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import frozen

from kazoo_bridge.calls.channel_queries import ChannelQueries
from kazoo_bridge.calls.channel_replies import Channel
from kazoo_bridge.calls.command_validation import validate_command, validate_flow
from kazoo_bridge.calls.kazoo_messages import action_command, flow_command
from kazoo_bridge.interfaces import CommandRefused, IBus, UnknownCall
from kazoo_bridge.kazoo import encode_key_part

#: In bytes, as it stands in a routing key, which has 255 at most. A longer id is no call's that could be commanded.
MAX_CALL_ID = 200


def is_valid_call_id(call_id: str) -> bool:
    """Whether the id can stand in a routing key, and means one call there."""
    return 0 < len(encode_key_part(call_id)) <= MAX_CALL_ID and call_id not in ("*", "#")


@frozen
class CommandSender:
    """Checks and publishes. Whether anything comes of it only the call's events tell."""

    _bus: IBus
    _channels: ChannelQueries

    async def send(self, account_id: str, call_id: str, command: str, data: Mapping[str, Any]) -> str:
        """See `ICalls.command`."""
        channel = await self._require_own(account_id, call_id)
        given = validate_command(command, data)
        if command == "transfer" and _other_leg(channel) is None:
            raise CommandRefused(
                {"other_leg_call_id": {"required": {"message": "the channel is connected to no other"}}}
            )
        await self._bus.publish(*action_command(call_id, command, given))
        return f"{command} initiated"

    async def send_flow(self, account_id: str, call_id: str, steps: Mapping[str, Any]) -> str:
        """See `ICalls.flow`."""
        await self._require_own(account_id, call_id)
        await self._bus.publish(*flow_command(call_id, validate_flow(steps)))
        return "metaflow sent"

    async def _require_own(self, account_id: str, call_id: str) -> Channel:
        channel = await self._channels.by_call_id(account_id, call_id) if is_valid_call_id(call_id) else None
        if channel is None:
            raise UnknownCall(call_id)
        return channel


def _other_leg(channel: Channel) -> object:
    return channel.get("other_leg_call_id") or channel.get("other_leg")
