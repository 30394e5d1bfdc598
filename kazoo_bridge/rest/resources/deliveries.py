"""Deliveries that wait or were given up: listed, and made again."""

from __future__ import annotations

from typing import Any

from attrs import frozen
from klein import Klein
from klein.app import KleinRequest

from kazoo_bridge.interfaces import IDirectory, StoredDelivery
from kazoo_bridge.json_numbers import to_integer
from kazoo_bridge.kazoo import from_gregorian, to_gregorian
from kazoo_bridge.rest.http.authorization import for_account
from kazoo_bridge.rest.http.errors import bad_identifier, validation_error
from kazoo_bridge.rest.http.filters import Filters
from kazoo_bridge.rest.http.pagination import Paginator
from kazoo_bridge.rest.http.request_context import Handler, RequestContext, Response
from kazoo_bridge.webhooks.delivery.dead_letters import DeadLetters
from kazoo_bridge.webhooks.hooks.hook_service import HookService

STATUSES = ("pending", "dead")


def to_api(stored: StoredDelivery) -> dict[str, Any]:
    """A delivery as it is listed. Times are in Gregorian seconds."""
    delivery = stored.delivery
    shown = {
        "id": delivery.id,
        "hook_id": delivery.hook_id,
        "hook_event": delivery.event,
        "event_id": delivery.event_id,
        "status": stored.status,
        "attempts": delivery.attempts,
        "reason": stored.reason,
        "created": to_gregorian(delivery.created),
        "payload": dict(delivery.payload),
    }
    return shown | ({"next_attempt": to_gregorian(stored.next_attempt)} if stored.status == "pending" else {})


def _since(exchange: RequestContext) -> float:
    given = exchange.data.get("since", 0)
    since = to_integer(given)
    if since is None or since < 0:
        rule, target = ("type", "integer") if since is None else ("minimum", 0)
        raise validation_error(
            {
                "since": {
                    rule: {
                        "message": "expected a time in Gregorian seconds",
                        "target": target,
                        "cause": given,
                    }
                }
            }
        )
    return float(max(0, from_gregorian(since)))


@frozen
class DeliveryResource:
    """``…/webhooks/deliveries``, ``…/webhooks/{ID}/deliveries`` and what can be done with them."""

    directory: IDirectory
    hooks: HookService
    replay: DeadLetters
    node: str

    async def _for_account(self, request: KleinRequest, account_id: str, handler: Handler) -> bytes:
        return await for_account(request, self.directory, self.node, account_id, handler)

    async def _require_hook(self, account_id: str, hook_id: str) -> None:
        if await self.hooks.get(account_id, hook_id) is None:
            raise bad_identifier(hook_id)

    async def of_account(self, request: KleinRequest, account_id: str) -> bytes:
        """GET: all of the account's."""
        return await self._list(request, account_id, None)

    async def of_hook(self, request: KleinRequest, account_id: str, hook_id: str) -> bytes:
        """GET: one hook's."""
        return await self._list(request, account_id, hook_id)

    async def _list(self, request: KleinRequest, account_id: str, hook_id: str | None) -> bytes:
        async def handler(exchange: RequestContext) -> Response:
            if hook_id is not None:
                await self._require_hook(account_id, hook_id)
            status = exchange.query.first("status") or "pending"
            if status not in STATUSES:
                raise validation_error(
                    {
                        "status": {
                            "enum": {
                                "message": "expected one of the values in target",
                                "target": list(STATUSES),
                                "cause": status,
                            }
                        }
                    }
                )
            filters, paging = (
                Filters.parse(exchange.query),
                Paginator.from_query(exchange.query, f"{exchange.path} {status}"),
            )

            async def fetch(before: int | None, count: int) -> list[StoredDelivery]:
                return await self.replay.page(account_id, hook_id, status, before, count)

            def accepts(stored: StoredDelivery) -> bool:
                return filters.accepts(
                    to_api(stored), to_gregorian(stored.delivery.created), to_gregorian(stored.changed_at)
                )

            page = await paging.from_store(fetch, lambda stored: stored.position, accepts)
            return Response([to_api(stored) for stored in page.items], more=page.more())

        return await self._for_account(request, account_id, handler)

    async def retry(self, request: KleinRequest, account_id: str, hook_id: str, delivery_id: str) -> bytes:
        """POST: make one delivery again, now."""

        async def handler(_: RequestContext) -> Response:
            if not await self.replay.retry(account_id, hook_id, delivery_id):
                raise bad_identifier(delivery_id)
            return Response({"id": delivery_id, "status": "pending"}, 202)

        return await self._for_account(request, account_id, handler)

    async def recover(self, request: KleinRequest, account_id: str, hook_id: str) -> bytes:
        """POST: make everything of a hook again that was given up since a time."""
        return await self._recover(request, account_id, hook_id)

    async def recover_all(self, request: KleinRequest, account_id: str) -> bytes:
        """POST: the same for all of the account's hooks, and for those that events have brought along."""
        return await self._recover(request, account_id, None)

    async def _recover(self, request: KleinRequest, account_id: str, hook_id: str | None) -> bytes:
        async def handler(exchange: RequestContext) -> Response:
            since = _since(exchange)
            if hook_id is not None:
                await self._require_hook(account_id, hook_id)
            return Response({"recovered": await self.replay.replay(account_id, hook_id, since)}, 202)

        return await self._for_account(request, account_id, handler)

    def route(self, app: Klein) -> None:
        """Put the resource on its paths."""
        hooks = "/v2/accounts/<account_id>/webhooks"
        app.route(f"{hooks}/deliveries", methods=["GET"])(self.of_account)
        app.route(f"{hooks}/deliveries/recover", methods=["POST"])(self.recover_all)
        app.route(f"{hooks}/<hook_id>/deliveries", methods=["GET"])(self.of_hook)
        app.route(f"{hooks}/<hook_id>/deliveries/recover", methods=["POST"])(self.recover)
        app.route(f"{hooks}/<hook_id>/deliveries/<delivery_id>/retry", methods=["POST"])(self.retry)
