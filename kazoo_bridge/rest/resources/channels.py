"""``/v2/accounts/{A}/channels``: an account's live channels, and commands to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import frozen

from kazoo_bridge.interfaces import ICalls, IDirectory
from kazoo_bridge.kazoo import channel_start
from kazoo_bridge.rest.http.authorization import account_handler
from kazoo_bridge.rest.http.errors import bad_identifier, invalid_field, parse_error
from kazoo_bridge.rest.http.filters import Filters
from kazoo_bridge.rest.http.pagination import Paginator
from kazoo_bridge.rest.http.request_context import RequestContext, Response
from kazoo_bridge.rest.http.routing import RoutedResource, route

_CHANNELS = "/v2/accounts/<account_id>/channels"

#: A call id can contain slashes, which clients send as ``%2F`` and which are decoded before routing.
_CHANNEL = f"{_CHANNELS}/<path:call_id>"

_METAFLOW = "metaflow"

#: Keys beside a command that are not arguments of it.
_NOT_ARGUMENTS = frozenset({"action", "auth_token", "verb"})


@frozen
class ChannelResource(RoutedResource):
    """Channels."""

    directory: IDirectory
    calls: ICalls

    @route("GET", _CHANNELS)
    @account_handler
    async def list(self, context: RequestContext, account_id: str) -> Response:
        """Answer with a page of the account's channels, oldest first."""
        filters = Filters.parse(context.query)
        paginator = Paginator.from_query(context.query, context.path, context.max_page_bytes)
        accepted = []
        for channel in await self.calls.channels(account_id):
            started_at = channel_start(channel) or None
            if filters.accepts(channel, started_at, started_at):
                accepted.append(channel)
        page = paginator.from_list(
            accepted, channel_start, lambda channel: str(channel["call_id"]), lambda channel: channel
        )
        return Response(page.items, metadata=page.metadata())

    @route("GET", _CHANNEL)
    @account_handler
    async def read(self, _context: RequestContext, account_id: str, call_id: str) -> Response:
        """Answer with one channel."""
        channel = await self.calls.channel(account_id, call_id)
        if channel is None:
            raise bad_identifier(call_id)
        return Response(channel)

    @route("POST", _CHANNEL)
    @account_handler
    async def command(self, context: RequestContext, account_id: str, call_id: str) -> Response:
        """Send one command to a channel."""
        name, arguments = parse_command(context.envelope)
        return Response(await self.calls.command(account_id, call_id, name, arguments), 202)

    @route("PUT", _CHANNEL)
    @account_handler
    async def metaflow(self, context: RequestContext, account_id: str, call_id: str) -> Response:
        """Send a metaflow to a channel."""
        name, arguments = parse_command(context.envelope)
        if name != _METAFLOW:
            raise invalid_field("action", "enum", target=[_METAFLOW], cause=name[:100])
        return Response(await self.calls.flow(account_id, call_id, arguments), 202)


def parse_command(envelope: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """Return the name of the command in a request's body, and its arguments.

    The name is ``action``, beside ``data`` or in it. The arguments are the ``data`` beside the name or,
    without one, all other keys beside the name; a metaflow's own ``data`` is one of these. Raises a parse
    error, or validation errors on ``action``.
    """
    data = envelope.get("data", {})
    if not isinstance(data, dict):
        raise parse_error('expected a body of the form {"data": {"action": …}}')
    command: Mapping[str, Any] = envelope if "action" in envelope else data
    name = command.get("action")
    if name is None:
        raise invalid_field("action", "required")
    if not isinstance(name, str):
        raise invalid_field("action", "type", "expected a text", target="string", cause=name)
    arguments = command.get("data")
    is_flow_itself = name == _METAFLOW and "module" in command
    if not isinstance(arguments, dict) or is_flow_itself:
        arguments = {key: value for key, value in command.items() if key not in _NOT_ARGUMENTS}
    return name, arguments
