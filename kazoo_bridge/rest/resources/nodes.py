"""``/v2/nodes`` and ``/v2/accounts/{A}/traces/{ID}``: the nodes, and what happened to an event."""

from __future__ import annotations

from attrs import frozen

from kazoo_bridge.interfaces import IDirectory, INodes
from kazoo_bridge.rest.http.authorization import account_handler, open_handler
from kazoo_bridge.rest.http.errors import ApiError, invalid_field
from kazoo_bridge.rest.http.request_context import RequestContext, Response
from kazoo_bridge.rest.http.routing import RoutedResource, route

#: A trace takes as much time as so many other requests: it searches the records of the storage.
TRACE_COST = 20

#: Characters of an id.
MIN_ID_LENGTH, MAX_ID_LENGTH = 6, 255


@frozen
class NodeResource(RoutedResource):
    """The nodes as operators see them."""

    directory: IDirectory
    nodes: INodes

    @route("GET", "/v2/nodes")
    @open_handler
    async def list(self, context: RequestContext) -> Response:
        """Answer with the status of each node; for super-admins."""
        await self._require_superadmin(context)
        return Response(await self.nodes.statuses())

    @route("GET", "/v2/traces/<path:trace_id>")
    @open_handler
    async def trace(self, context: RequestContext, trace_id: str) -> Response:
        """Answer with what happened to an event of any account; for super-admins."""
        await self._require_superadmin(context)
        context.charge(TRACE_COST)
        return Response(await self.nodes.trace(_checked(trace_id), None))

    @route("GET", "/v2/accounts/<account_id>/traces/<path:trace_id>")
    @account_handler
    async def trace_of_account(self, context: RequestContext, account_id: str, trace_id: str) -> Response:
        """Answer with what happened to an event of the account or one below it."""
        context.charge(TRACE_COST)
        accounts = {account_id, *await self.directory.descendants(account_id)}
        return Response(await self.nodes.trace(_checked(trace_id), accounts))

    async def _require_superadmin(self, context: RequestContext) -> None:
        await context.authenticate(self.directory)
        if not context.is_superadmin:
            raise ApiError(403, "forbidden", {"message": "only super-admins may do this"})


def _checked(trace_id: str) -> str:
    if not MIN_ID_LENGTH <= len(trace_id) <= MAX_ID_LENGTH:
        message = f"expected {MIN_ID_LENGTH} to {MAX_ID_LENGTH} characters"
        raise invalid_field("trace_id", "length", message)
    return trace_id
