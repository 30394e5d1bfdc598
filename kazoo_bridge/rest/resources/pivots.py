"""``/v2/accounts/{A}/pivots``: an account's pivot points, the requests to them, and answers over REST."""

from __future__ import annotations

from typing import Any

from attrs import frozen

from kazoo_bridge.interfaces import IDirectory, IPivots, PivotAnswer, StoredPivot
from kazoo_bridge.rest.http.authorization import account_handler
from kazoo_bridge.rest.http.errors import bad_identifier
from kazoo_bridge.rest.http.etags import check_preconditions
from kazoo_bridge.rest.http.filters import Filters
from kazoo_bridge.rest.http.pagination import Paginator
from kazoo_bridge.rest.http.request_context import RequestContext, Response
from kazoo_bridge.rest.http.routing import RoutedResource, route
from kazoo_bridge.rest.resources.pivot_door import PIVOT_PATH

_PIVOTS = "/v2/accounts/<account_id>/pivots"
_PIVOT = f"{_PIVOTS}/<pivot_point_id>"

_LIST_KEYS = ("name", "strategy", "timeout_ms", "enabled")


@frozen
class PivotResource(RoutedResource):
    """Pivot points. `base_uri` is where KAZOO reaches this service; empty: where the client does."""

    directory: IDirectory
    pivots: IPivots
    base_uri: str = ""

    @route("GET", _PIVOTS)
    @account_handler
    async def list(self, context: RequestContext, account_id: str) -> Response:
        """Answer with a page of the account's pivot points in short, by `created`, without their URLs."""
        filters = Filters.parse(context.query)
        points = [
            point
            for point in await self.pivots.points(account_id)
            if filters.accepts({**point.document, "id": point.id}, point.created, point.modified)
        ]
        page = Paginator.from_query(context.query, context.path, context.max_page_bytes).from_list(
            points, position=lambda point: point.created, identity=lambda point: point.id, show=_list_entry
        )
        return Response([_list_entry(point) for point in page.items], metadata=page.metadata())

    @route("PUT", _PIVOTS)
    @account_handler
    async def create(self, context: RequestContext, account_id: str) -> Response:
        """Create a pivot point."""
        return self._respond(context, await self.pivots.create(account_id, context.data), 201)

    @route("GET", _PIVOT)
    @account_handler
    async def read(self, context: RequestContext, account_id: str, pivot_point_id: str) -> Response:
        """Answer with one pivot point."""
        return self._respond(context, await self._get(account_id, pivot_point_id))

    @route("POST", _PIVOT)
    @account_handler
    async def replace(self, context: RequestContext, account_id: str, pivot_point_id: str) -> Response:
        """Replace a pivot point's document."""
        point = await self._get_to_write(context, account_id, pivot_point_id)
        return self._respond(context, await self.pivots.replace(point, context.data))

    @route("PATCH", _PIVOT)
    @account_handler
    async def patch(self, context: RequestContext, account_id: str, pivot_point_id: str) -> Response:
        """Replace keys of a pivot point's document; null removes a key."""
        point = await self._get_to_write(context, account_id, pivot_point_id)
        return self._respond(context, await self.pivots.patch(point, context.data))

    @route("DELETE", _PIVOT)
    @account_handler
    async def delete(self, context: RequestContext, account_id: str, pivot_point_id: str) -> Response:
        """Delete a pivot point; answers with it as it was."""
        point = await self._get_to_write(context, account_id, pivot_point_id)
        await self.pivots.delete(point)
        return self._respond(context, point)

    @route("POST", f"{_PIVOT}/secret")
    @account_handler
    async def renew(self, context: RequestContext, account_id: str, pivot_point_id: str) -> Response:
        """Renew the secret in the URL; the former URL ends at once."""
        point = await self._get_to_write(context, account_id, pivot_point_id)
        return self._respond(context, await self.pivots.renew_secret(point), 201)

    @route("GET", f"{_PIVOT}/requests")
    @account_handler
    async def list_requests(self, context: RequestContext, account_id: str, pivot_point_id: str) -> Response:
        """Answer with a page of the latest requests, newest first."""
        filters = Filters.parse(context.query)
        records = await self.pivots.records(await self._get(account_id, pivot_point_id))
        found = [
            dict(record.document)
            for record in records
            if filters.accepts(record.document, record.document["timestamp"], record.document["timestamp"])
        ]
        page = Paginator.from_query(context.query, context.path, context.max_page_bytes).from_list(
            found,
            position=lambda record: -record["timestamp"],
            identity=lambda record: record["pivot_id"],
            show=lambda record: record,
        )
        return Response([*page.items], metadata=page.metadata())

    @route("POST", f"{_PIVOT}/requests/<pivot_id>")
    @account_handler
    async def answer(
        self, context: RequestContext, account_id: str, pivot_point_id: str, pivot_id: str
    ) -> Response:
        """Answer a request that waits, as a websocket client does with ``pivot``."""
        point, data = await self._get(account_id, pivot_point_id), context.data
        answered_by = {"name": data.get("name"), "account_id": getattr(context.principal, "account_id", None)}
        answer = PivotAnswer(
            data.get("flow"),
            data.get("twiml"),
            {key: value for key, value in answered_by.items() if isinstance(value, str)},
        )
        await self.pivots.answer(point.account_id, pivot_id, answer, point.id)
        return Response({"pivot_id": pivot_id})

    async def _get(self, account_id: str, pivot_point_id: str) -> StoredPivot:
        point = await self.pivots.point(account_id, pivot_point_id)
        if point is None:
            raise bad_identifier(pivot_point_id)
        return point

    async def _get_to_write(
        self, context: RequestContext, account_id: str, pivot_point_id: str
    ) -> StoredPivot:
        """Return a pivot point if the conditions of the request hold (else 412)."""
        point = await self._get(account_id, pivot_point_id)
        check_preconditions(context.request, point.revision)
        return point

    def _respond(self, context: RequestContext, point: StoredPivot, status: int = 200) -> Response:
        base = self.base_uri.rstrip("/") or context.base_uri
        url = f"{base}{PIVOT_PATH}{point.id}/{point.secret}"
        document: dict[str, Any] = {
            **point.document,
            "id": point.id,
            "url": url,
            "cdr_url": f"{url}/cdr",
            "created": point.created,
            "modified": point.modified,
        }
        return Response(document, status, point.revision)


def _list_entry(point: StoredPivot) -> dict[str, Any]:
    return {"id": point.id} | {key: point.document[key] for key in _LIST_KEYS}
