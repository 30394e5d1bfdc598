"""``/v2/websockets`` and ``/v2/accounts/{A}/websockets``: the bindings, and the connected sockets of all
nodes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import frozen

from kazoo_bridge.interfaces import IDirectory, IWebsockets
from kazoo_bridge.json_numbers import to_integer
from kazoo_bridge.rest.http.authorization import account_handler, open_handler
from kazoo_bridge.rest.http.errors import bad_identifier
from kazoo_bridge.rest.http.filters import Filters
from kazoo_bridge.rest.http.pagination import Paginator
from kazoo_bridge.rest.http.request_context import RequestContext, Response
from kazoo_bridge.rest.http.routing import RoutedResource, route

_SOCKETS = "/v2/accounts/<account_id>/websockets"
_SOCKET = f"{_SOCKETS}/<socket_id>"


@frozen
class WebsocketResource(RoutedResource):
    """Bindings and sockets."""

    directory: IDirectory
    websockets: IWebsockets

    @route("GET", "/v2/websockets")
    @open_handler
    async def bindings(self, context: RequestContext) -> Response:
        """Answer with the bindings that clients can subscribe to, by category. No token needed."""
        await context.authenticate_optional(self.directory)
        return Response(self.websockets.bindings())

    @route("GET", _SOCKETS)
    @account_handler
    async def list(self, context: RequestContext, account_id: str) -> Response:
        """Answer with the account's sockets, newest first; without ``page_size`` with all of them.

        Like in KAZOO (``cb_websockets``), the sockets of the caller's own account are among them.
        """
        filters = Filters.parse(context.query)
        paginator = Paginator.from_query(context.query, context.path, context.max_page_bytes, None)
        sockets = await self.websockets.sockets(account_id, _caller(context))
        accepted = [one for one in sockets if filters.accepts(one)]
        page = paginator.from_list(
            sorted(accepted, key=_age),
            position=_age,
            identity=lambda socket: str(socket.get("websocket_session_id")),
            show=lambda socket: socket,
        )
        return Response(page.items, metadata=page.metadata())

    @route("GET", _SOCKET)
    @account_handler
    async def read(self, context: RequestContext, account_id: str, socket_id: str) -> Response:
        """Answer with one socket of the account or of the caller's."""
        socket = await self.websockets.socket(account_id, socket_id)
        if socket is None and (caller := _caller(context)) is not None and caller != account_id:
            socket = await self.websockets.socket(caller, socket_id)
        if socket is None:
            raise bad_identifier(socket_id)
        return Response(socket)

    @route("DELETE", _SOCKET)
    @account_handler
    async def close(self, context: RequestContext, account_id: str, socket_id: str) -> Response:
        """Close a socket of the account or of the caller's; answers with the socket as it was."""
        socket = await self.websockets.close_socket(account_id, socket_id)
        if socket is None and (caller := _caller(context)) is not None and caller != account_id:
            socket = await self.websockets.close_socket(caller, socket_id)
        if socket is None:
            raise bad_identifier(socket_id)
        return Response(socket)


def _caller(context: RequestContext) -> str | None:
    """Return the account whose sockets are shown and closed, too; none for a token that names what it may."""
    principal = context.principal
    return None if principal is None or principal.restrictions is not None else principal.account_id


def _age(socket: Mapping[str, Any]) -> int:
    """Return a number that is larger for an older socket; other servers on the bus may omit the age."""
    return -(to_integer(socket.get("timestamp")) or 0)
