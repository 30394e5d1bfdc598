"""``/v2/accounts/{A}/channels``: an account's live channels, and commands to them.

Also those of its users, devices and groups, and ``/v2/channels``, those of all accounts. The paths, and the
words of errors, are those of ``cb_channels`` in ``2600hz/kazoo``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from attrs import frozen

from kazoo_bridge.interfaces import ICalls, IDirectory, ISipUsernames
from kazoo_bridge.kazoo import channel_start
from kazoo_bridge.rest.http.authorization import account_handler, open_handler
from kazoo_bridge.rest.http.csv_table import CSV_TYPE, csv_table, prefers_csv
from kazoo_bridge.rest.http.errors import (
    ApiError,
    forbidden,
    invalid_data,
    parse_error,
    unknown_channel,
)
from kazoo_bridge.rest.http.filters import Filters
from kazoo_bridge.rest.http.pagination import Paginator
from kazoo_bridge.rest.http.request_context import RequestContext, Response
from kazoo_bridge.rest.http.routing import RoutedResource, route
from kazoo_bridge.schema_errors import field_error

_CHANNELS = "/v2/accounts/<account_id>/channels"

#: A call id can contain slashes, which clients send as ``%2F`` and which are decoded before routing.
_CHANNEL = f"{_CHANNELS}/<path:call_id>"

_METAFLOW = "metaflow"

_USER, _DEVICE, _GROUP = "user", "device", "group"

#: The key of a channel that has the id of a user or a device.
_ID_KEYS = {_USER: "owner_id", _DEVICE: "authorizing_id"}

#: Bytes of a list without ``page_size``, which KAZOO does not bound. It holds 100 000 channels.
MAX_LIST_BYTES = 100_000_000

#: Channels that are looked at, and rows of a table, that count as another request: they take as much time.
CHANNELS_PER_REQUEST, ROWS_PER_REQUEST = 200, 50

Channels = Sequence[Mapping[str, Any]]

#: Keys beside a command that are not arguments of it.
_NOT_ARGUMENTS = frozenset({"action", "auth_token", "verb"})


@frozen
class ChannelResource(RoutedResource):
    """Channels. `is_system_wide`: super-admins may list those of all accounts."""

    directory: IDirectory
    calls: ICalls
    is_system_wide: bool = True

    @route("GET", _CHANNELS)
    @account_handler
    async def list(self, context: RequestContext, account_id: str) -> Response:
        """Answer with the account's channels, oldest first; without ``page_size`` with all of them."""
        return await _respond(context, lambda: self.calls.channels(account_id))

    @route("GET", "/v2/accounts/<account_id>/users/<user_id>/channels")
    @account_handler
    async def list_of_user(self, context: RequestContext, account_id: str, user_id: str) -> Response:
        """Answer with the channels of a user's devices, like `list`."""
        return await _respond(context, lambda: self._of_member(account_id, _USER, user_id))

    @route("GET", "/v2/accounts/<account_id>/devices/<device_id>/channels")
    @account_handler
    async def list_of_device(self, context: RequestContext, account_id: str, device_id: str) -> Response:
        """Answer with the channels of a device, like `list`."""
        return await _respond(context, lambda: self._of_member(account_id, _DEVICE, device_id))

    @route("GET", "/v2/accounts/<account_id>/groups/<group_id>/channels")
    @account_handler
    async def list_of_group(self, context: RequestContext, account_id: str, group_id: str) -> Response:
        """Answer with the channels of the devices of a group, like `list`."""
        return await _respond(context, lambda: self._of_member(account_id, _GROUP, group_id))

    @route("GET", "/v2/channels")
    @open_handler
    async def list_all(self, context: RequestContext) -> Response:
        """Answer a super-admin with the channels of all accounts, like `list`.

        KAZOO has the same switch, ``system_wide_channels_list``; without it, it answers with 500.
        """
        await context.authenticate(self.directory)
        if not (self.is_system_wide and context.is_superadmin):
            raise forbidden()
        return await _respond(context, self.calls.all_channels)

    async def _of_member(self, account_id: str, kind: str, member_id: str) -> Channels:
        """Return the channels of a user, a device or a group.

        A directory that knows the devices has their user names. Without, the account's channels say to which
        user and device they belong; of groups nothing is known then, and 404 is raised.
        """
        names: Sequence[str] | None = None
        if ISipUsernames.providedBy(self.directory):
            names = await ISipUsernames(self.directory).sip_usernames(account_id, kind, member_id)
        if names is not None:
            account = await self.directory.account(account_id)
            if account is None or not account.realm or not names:
                return []
            return await self.calls.user_channels(account_id, names, account.realm)
        if kind == _GROUP:
            raise unknown_channel(member_id)
        key = _ID_KEYS[kind]
        return [one for one in await self.calls.channels(account_id) if _has(one, key, member_id)]

    @route("GET", _CHANNEL)
    @account_handler
    async def read(self, _context: RequestContext, account_id: str, call_id: str) -> Response:
        """Answer with one channel."""
        channel = await self.calls.channel(account_id, call_id)
        if channel is None:
            raise unknown_channel(call_id)
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
            raise _no_command("enum", target=[_METAFLOW], cause=name[:100])
        return Response(await self.calls.flow(account_id, call_id, arguments), 202)


async def _respond(context: RequestContext, fetch: Callable[[], Awaitable[Channels]]) -> Response:
    """Answer with the channels that `fetch` returns, filtered: a page, or all of them; as JSON or CSV."""
    filters = Filters.parse(context.query)
    is_paged = context.query.first("page_size") is not None
    max_bytes = context.max_page_bytes if is_paged else MAX_LIST_BYTES
    paginator = Paginator.from_query(context.query, context.path, max_bytes, None)
    accepted = []
    channels = await fetch()
    for channel in channels:
        started_at = channel_start(channel) or None
        if filters.accepts(channel, started_at, started_at):
            accepted.append(channel)
    page = paginator.from_list(
        accepted, channel_start, lambda channel: str(channel["call_id"]), lambda channel: channel
    )
    is_table = prefers_csv(context.request.getHeader("accept") or "")
    rows = len(page.items) if is_table else 0
    context.charge(len(channels) // CHANNELS_PER_REQUEST + rows // ROWS_PER_REQUEST)
    if is_table:
        context.start_stream(f"{CSV_TYPE}; charset=utf-8")
        context.request.setHeader("Content-Disposition", 'attachment; filename="channels.csv"')
        context.request.write(csv_table(page.items))
        return Response(None, streamed=True)
    return Response(page.items, metadata=page.metadata())


def _has(channel: Mapping[str, Any], key: str, value: str) -> bool:
    """Return whether a channel, or its channel variables, have the value."""
    variables = channel.get("custom_channel_vars")
    return channel.get(key) == value or (isinstance(variables, Mapping) and variables.get(key) == value)


def _no_command(rule: str, message: str | None = None, **details: Any) -> ApiError:
    return invalid_data(field_error("action", rule, message, **details))


def parse_command(envelope: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """Return the name of the command in a request's body, and its arguments.

    The name is ``action``, beside ``data`` or in it. The arguments are the ``data`` beside the name or,
    without one, all other keys beside the name; a metaflow's own ``data`` is one of these. Raises a parse
    error, or the error ``invalid data`` with what is wrong about ``action``.
    """
    data = envelope.get("data", {})
    if not isinstance(data, dict):
        raise parse_error('expected a body of the form {"data": {"action": …}}')
    command: Mapping[str, Any] = envelope if "action" in envelope else data
    name = command.get("action")
    if name is None:
        raise _no_command("required")
    if not isinstance(name, str):
        raise _no_command("type", "expected a text", target="string", cause=name)
    arguments = command.get("data")
    is_flow_itself = name == _METAFLOW and "module" in command
    if not isinstance(arguments, dict) or is_flow_itself:
        arguments = {key: value for key, value in command.items() if key not in _NOT_ARGUMENTS}
    return name, arguments
