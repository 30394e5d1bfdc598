"""An account's live channels, and commands to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import frozen
from klein import Klein
from klein.app import KleinRequest

from kazoo_bridge.calls.channel_replies import channel_start
from kazoo_bridge.interfaces import BusUnavailable, CommandRefused, ICalls, IDirectory, UnknownCall
from kazoo_bridge.rest.http.authorization import for_account
from kazoo_bridge.rest.http.errors import bad_identifier, bus_fault, parse_error, validation_error
from kazoo_bridge.rest.http.filters import Filters
from kazoo_bridge.rest.http.pagination import Paginator
from kazoo_bridge.rest.http.request_context import Handler, RequestContext, Response

_METAFLOW = "metaflow"

#: What stands beside a command when it is given without ``data``.
_NOT_ARGUMENTS = frozenset({"action", "auth_token", "verb"})


def command_in(envelope: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """The command that a body gives, and its arguments.

    The command stands in ``action_command``, beside ``data`` or in it. Arguments are the ``data`` beside the command or, where there is none, all
    that stands beside it; a metaflow has ``data`` of its own. Raises a parse error and validation errors.
    """
    data = envelope.get("data", {})
    if not isinstance(data, dict):
        raise parse_error('expected a body of the form {"data": {"action": …}}')
    around: Mapping[str, Any] = envelope if "action" in envelope else data
    name = around.get("action")
    if name is None:
        raise validation_error({"action": {"required": {"message": "this field is required"}}})
    if not isinstance(name, str):
        raise validation_error(
            {"action": {"type": {"message": "expected a text", "target": "string", "cause": name}}}
        )
    arguments = around.get("data")
    is_flow_itself = name == _METAFLOW and "module" in around
    if not isinstance(arguments, dict) or is_flow_itself:
        arguments = {key: value for key, value in around.items() if key not in _NOT_ARGUMENTS}
    return name, arguments


@frozen
class ChannelResource:
    """``…/channels`` and ``…/channels/{CALL_ID}``."""

    directory: IDirectory
    calls: ICalls
    node: str

    async def _for_account(self, request: KleinRequest, account_id: str, handler: Handler) -> bytes:
        async def told(exchange: RequestContext) -> Response:
            try:
                return await handler(exchange)
            except UnknownCall as error:
                raise bad_identifier(str(error)) from None
            except CommandRefused as error:
                raise validation_error(error.errors) from None
            except BusUnavailable:
                raise bus_fault() from None

        return await for_account(request, self.directory, self.node, account_id, told)

    async def list(self, request: KleinRequest, account_id: str) -> bytes:
        """GET: the account's channels, the oldest first."""

        async def handler(exchange: RequestContext) -> Response:
            filters, paging = (
                Filters.parse(exchange.query),
                Paginator.from_query(exchange.query, exchange.path),
            )
            found = await self.calls.channels(account_id)
            accepted = [
                one
                for one in found
                if filters.accepts(one, channel_start(one) or None, channel_start(one) or None)
            ]
            page = paging.from_list(accepted, channel_start, lambda one: str(one["call_id"]))
            return Response(page.items, more=page.more())

        return await self._for_account(request, account_id, handler)

    async def read(self, request: KleinRequest, account_id: str, call_id: str) -> bytes:
        """GET: one channel."""

        async def handler(_: RequestContext) -> Response:
            channel = await self.calls.channel(account_id, call_id)
            if channel is None:
                raise UnknownCall(call_id)
            return Response(channel)

        return await self._for_account(request, account_id, handler)

    async def command(self, request: KleinRequest, account_id: str, call_id: str) -> bytes:
        """POST: send one command."""

        async def handler(exchange: RequestContext) -> Response:
            name, arguments = command_in(exchange.envelope)
            return Response(await self.calls.command(account_id, call_id, name, arguments), 202)

        return await self._for_account(request, account_id, handler)

    async def flow(self, request: KleinRequest, account_id: str, call_id: str) -> bytes:
        """PUT: send a whole metaflow."""

        async def handler(exchange: RequestContext) -> Response:
            name, arguments = command_in(exchange.envelope)
            if name != _METAFLOW:
                told = {
                    "message": "expected one of the values in target",
                    "target": [_METAFLOW],
                    "cause": name[:100],
                    "value": name[:100],
                }
                raise validation_error({"action": {"enum": told}})
            return Response(await self.calls.flow(account_id, call_id, arguments), 202)

        return await self._for_account(request, account_id, handler)

    def route(self, app: Klein) -> None:
        """Put the resource on its paths. An id may have slashes in it, sent as ``%2F``, which are decoded by now."""
        one = "/v2/accounts/<account_id>/channels/<path:call_id>"
        app.route("/v2/accounts/<account_id>/channels", methods=["GET"])(self.list)
        app.route(one, methods=["GET"])(self.read)
        app.route(one, methods=["POST"])(self.command)
        app.route(one, methods=["PUT"])(self.flow)
