"""``/v2/websockets`` and an account's sockets, over all nodes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from attrs import frozen
from klein import Klein
from klein.app import KleinRequest

from kazoo_bridge.interfaces import BusUnavailable, IDirectory
from kazoo_bridge.rest.http.authorization import for_account
from kazoo_bridge.rest.http.errors import bad_identifier, bus_fault
from kazoo_bridge.rest.http.filters import Filters
from kazoo_bridge.rest.http.request_context import RequestContext, Response, handle_request
from kazoo_bridge.websockets.cluster_sockets import SocketQueryClient
from kazoo_bridge.websockets.subscriptions.binding_catalogue import BindingCatalogue

Document = Mapping[str, Any]


@frozen
class WebsocketResource:
    """Which bindings there are, and who is connected."""

    directory: IDirectory
    catalogue: BindingCatalogue
    questions: SocketQueryClient
    node: str

    async def bindings(self, request: KleinRequest) -> bytes:
        """GET: what clients can subscribe to, by category. For anybody, without a token."""

        async def handler(exchange: RequestContext) -> Response:
            await exchange.authenticate_optional(self.directory)
            return Response(self.catalogue.by_category())

        return await handle_request(request, self.node, handler)

    async def list(self, request: KleinRequest, account_id: str) -> bytes:
        """GET: the account's sockets."""

        async def handler(exchange: RequestContext) -> Response:
            filters = Filters.parse(exchange.query)
            try:
                found = await self.questions.list(account_id)
            except BusUnavailable:
                raise bus_fault() from None
            return Response([one for one in found if filters.accepts(one)])

        return await for_account(request, self.directory, self.node, account_id, handler)

    async def read(self, request: KleinRequest, account_id: str, socket_id: str) -> bytes:
        """GET: one socket."""
        return await self._one(request, account_id, socket_id, self.questions.get)

    async def close(self, request: KleinRequest, account_id: str, socket_id: str) -> bytes:
        """DELETE: close it."""
        return await self._one(request, account_id, socket_id, self.questions.close)

    async def _one(
        self,
        request: KleinRequest,
        account_id: str,
        socket_id: str,
        question: Callable[[str, str], Awaitable[Document | None]],
    ) -> bytes:
        async def handler(_: RequestContext) -> Response:
            try:
                found = await question(account_id, socket_id)
            except BusUnavailable:
                raise bus_fault() from None
            if found is None:
                raise bad_identifier(socket_id)
            return Response(found)

        return await for_account(request, self.directory, self.node, account_id, handler)

    def route(self, app: Klein) -> None:
        """Put the resource on its paths."""
        app.route("/v2/websockets", methods=["GET"])(self.bindings)
        app.route("/v2/accounts/<account_id>/websockets", methods=["GET"])(self.list)
        app.route("/v2/accounts/<account_id>/websockets/<socket_id>", methods=["GET"])(self.read)
        app.route("/v2/accounts/<account_id>/websockets/<socket_id>", methods=["DELETE"])(self.close)
