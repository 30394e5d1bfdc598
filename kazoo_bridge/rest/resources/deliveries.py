"""``…/webhooks/deliveries`` and ``…/webhooks/{ID}/deliveries``: deliveries that wait or are dead, and
their replay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen

from kazoo_bridge.account_moves import moved_away
from kazoo_bridge.interfaces import IDirectory, IWebhooks, StoredDelivery, StoredHook
from kazoo_bridge.json_numbers import to_integer
from kazoo_bridge.kazoo import from_gregorian, to_gregorian
from kazoo_bridge.rest.http.authorization import account_handler
from kazoo_bridge.rest.http.errors import bad_identifier, hook_disabled, invalid_field
from kazoo_bridge.rest.http.filters import Filters
from kazoo_bridge.rest.http.pagination import Paginator, encoded_size
from kazoo_bridge.rest.http.request_context import RequestContext, Response
from kazoo_bridge.rest.http.routing import RoutedResource, route
from kazoo_bridge.rest.resources.webhooks import get_hook

STATUSES = ("pending", "dead")

#: Bytes of JSON of a payload in a list.
MAX_PAYLOAD_BYTES = 16_384

_HOOKS = "/v2/accounts/<account_id>/webhooks"
_HOOK = f"{_HOOKS}/<hook_id>"


@frozen
class DeliveryResource(RoutedResource):
    """Stored deliveries: listed, retried, replayed."""

    directory: IDirectory
    webhooks: IWebhooks

    @route("GET", f"{_HOOKS}/deliveries")
    @account_handler
    async def list_of_account(self, context: RequestContext, account_id: str) -> Response:
        """Answer with a page of the deliveries to all hooks of the account, newest first."""
        return await self._list(context, account_id, None)

    @route("GET", f"{_HOOK}/deliveries")
    @account_handler
    async def list_of_hook(self, context: RequestContext, account_id: str, hook_id: str) -> Response:
        """Answer with a page of the deliveries to one hook, newest first."""
        await get_hook(self.webhooks, account_id, hook_id)
        return await self._list(context, account_id, hook_id)

    @route("POST", f"{_HOOK}/deliveries/<delivery_id>/retry")
    @account_handler
    async def retry(
        self, _context: RequestContext, account_id: str, hook_id: str, delivery_id: str
    ) -> Response:
        """Attempt one delivery again, now; refused while the hook is disabled."""
        hook = await self.webhooks.hook(account_id, hook_id)
        # A delivery to an inline hook has no stored one.
        if hook is not None:
            _require_enabled(hook)
        if not await self.webhooks.retry_delivery(account_id, hook_id, delivery_id):
            raise bad_identifier(delivery_id)
        return Response({"id": delivery_id, "status": "pending"}, 202)

    @route("POST", f"{_HOOKS}/deliveries/recover")
    @account_handler
    async def replay_of_account(self, context: RequestContext, account_id: str) -> Response:
        """Attempt all dead deliveries of the account again that died since a time, to inline hooks too.

        Those of disabled hooks stay dead.
        """
        return await self._replay(account_id, None, parse_since(context.data))

    @route("POST", f"{_HOOK}/deliveries/recover")
    @account_handler
    async def replay_of_hook(self, context: RequestContext, account_id: str, hook_id: str) -> Response:
        """Attempt all dead deliveries of a hook again that died since a time, unless it is disabled."""
        since = parse_since(context.data)
        _require_enabled(await get_hook(self.webhooks, account_id, hook_id))
        return await self._replay(account_id, hook_id, since)

    async def _list(self, context: RequestContext, account_id: str, hook_id: str | None) -> Response:
        status = context.query.first("status") or STATUSES[0]
        if status not in STATUSES:
            raise invalid_field("status", "enum", target=list(STATUSES), cause=status)
        filters = Filters.parse(context.query)
        scope = f"{context.path} {status}"
        paginator = Paginator.from_query(context.query, scope, context.max_page_bytes)
        moved: set[str | None] = set()

        async def fetch(before: int | None, count: int) -> Sequence[StoredDelivery]:
            page = await self.webhooks.deliveries(account_id, hook_id, status, before, count)
            event_account_ids = (stored.delivery.event_account_id for stored in page)
            moved.update(await moved_away(self.directory, event_account_ids, account_id))
            return page

        def accepts(stored: StoredDelivery) -> bool:
            if stored.delivery.event_account_id in moved:
                return False
            created, changed = to_gregorian(stored.delivery.created), to_gregorian(stored.changed_at)
            return filters.accepts(to_api(stored), created, changed)

        page = await paginator.from_store(fetch, lambda stored: stored.position, accepts, to_api)
        return Response([to_api(stored) for stored in page.items], metadata=page.metadata())

    async def _replay(self, account_id: str, hook_id: str | None, since: float) -> Response:
        count = await self.webhooks.replay_deliveries(account_id, hook_id, since)
        return Response({"recovered": count}, 202)


def _require_enabled(hook: StoredHook) -> None:
    """Refuse what would count as a new attempt, although a disabled hook makes none."""
    if hook.document.get("enabled") is False:
        raise hook_disabled()


def to_api(stored: StoredDelivery) -> dict[str, Any]:
    """Return a delivery in its public form; times are in Gregorian seconds.

    Of a payload at most `MAX_PAYLOAD_BYTES` are shown.
    """
    delivery = stored.delivery
    payload = cut_payload(delivery.payload)
    document: dict[str, Any] = {
        "id": delivery.id,
        "hook_id": delivery.hook_id,
        "hook_event": delivery.event,
        "event_id": delivery.event_id,
        "status": stored.status,
        "attempts": delivery.attempts,
        "reason": stored.reason,
        "created": to_gregorian(delivery.created),
        "payload": payload,
    }
    if len(payload) < len(delivery.payload):
        document["truncated"] = ["payload"]
    if stored.status == "pending":
        document["next_attempt"] = to_gregorian(stored.next_attempt)
    return document


def cut_payload(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys of a payload, in their order, as far as they have at most `MAX_PAYLOAD_BYTES`."""
    remaining = MAX_PAYLOAD_BYTES
    kept: dict[str, Any] = {}
    for name, value in payload.items():
        remaining -= encoded_size({name: value})
        if remaining < 0:
            break
        kept[name] = value
    return kept


def parse_since(data: dict[str, Any]) -> float:
    """Return the time ``since`` (Gregorian seconds, 0 without it) in Unix seconds, at least 0.

    Raises a validation error on ``since``.
    """
    given = data.get("since", 0)
    since = to_integer(given)
    message = "expected a time in Gregorian seconds"
    if since is None:
        raise invalid_field("since", "type", message, target="integer", cause=given)
    if since < 0:
        raise invalid_field("since", "minimum", message, target=0, cause=given)
    return float(max(0, from_gregorian(since)))
