"""``…/webhooks/attempts`` and ``…/webhooks/{ID}/attempts``: what was sent to hooks, the answers, replays."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen

from kazoo_bridge.account_moves import moved_away
from kazoo_bridge.interfaces import IDirectory, IWebhooks, NotReplayable, StoredAttempt, UnknownAttempt
from kazoo_bridge.kazoo import to_gregorian
from kazoo_bridge.rest.http.authorization import account_handler
from kazoo_bridge.rest.http.errors import bad_identifier, not_replayable
from kazoo_bridge.rest.http.filters import Filters
from kazoo_bridge.rest.http.pagination import Paginator
from kazoo_bridge.rest.http.request_context import RequestContext, Response
from kazoo_bridge.rest.http.routing import RoutedResource, route
from kazoo_bridge.rest.resources.deliveries import to_api as delivery_to_api
from kazoo_bridge.rest.resources.webhooks import get_hook

_ATTEMPT_ID = re.compile(r"[0-9]{1,18}")

_HOOKS = "/v2/accounts/<account_id>/webhooks"


@frozen
class AttemptResource(RoutedResource):
    """Lists of attempts, newest first, and replays of them."""

    directory: IDirectory
    webhooks: IWebhooks

    @route("GET", f"{_HOOKS}/attempts")
    @account_handler
    async def list_of_account(self, context: RequestContext, account_id: str) -> Response:
        """Answer with a page of the attempts of all hooks of the account."""
        return await self._list(context, account_id, None)

    @route("GET", f"{_HOOKS}/<hook_id>/attempts")
    @account_handler
    async def list_of_hook(self, context: RequestContext, account_id: str, hook_id: str) -> Response:
        """Answer with a page of the attempts of one hook."""
        await get_hook(self.webhooks, account_id, hook_id)
        return await self._list(context, account_id, hook_id)

    @route("POST", f"{_HOOKS}/attempts/<attempt_id>/replay")
    @account_handler
    async def replay_of_account(self, _context: RequestContext, account_id: str, attempt_id: str) -> Response:
        """Make the delivery of an attempt again, to an inline hook too."""
        return await self._replay(account_id, None, attempt_id)

    @route("POST", f"{_HOOKS}/<hook_id>/attempts/<attempt_id>/replay")
    @account_handler
    async def replay_of_hook(
        self, _context: RequestContext, account_id: str, hook_id: str, attempt_id: str
    ) -> Response:
        """Make the delivery of an attempt to a hook again."""
        return await self._replay(account_id, hook_id, attempt_id)

    async def _replay(self, account_id: str, hook_id: str | None, attempt_id: str) -> Response:
        if not _ATTEMPT_ID.fullmatch(attempt_id):
            raise bad_identifier(attempt_id)
        try:
            stored = await self.webhooks.replay_attempt(account_id, hook_id, int(attempt_id))
        except UnknownAttempt:
            raise bad_identifier(attempt_id) from None
        except NotReplayable as error:
            raise not_replayable(attempt_id, str(error)) from None
        return Response(delivery_to_api(stored), 202)

    async def _list(self, context: RequestContext, account_id: str, hook_id: str | None) -> Response:
        filters = Filters.parse(context.query)
        paginator = Paginator.from_query(context.query, context.path, context.max_page_bytes)
        moved: set[str | None] = set()

        async def fetch(before: int | None, count: int) -> Sequence[StoredAttempt]:
            attempts = await self.webhooks.attempts(account_id, hook_id, before, count)
            event_account_ids = (attempt.event_account_id for attempt in attempts)
            moved.update(await moved_away(self.directory, event_account_ids, account_id))
            return attempts

        def accepts(attempt: StoredAttempt) -> bool:
            if attempt.event_account_id in moved:
                return False
            made_at = to_gregorian(attempt.made_at)
            return filters.accepts(to_api(attempt), made_at, made_at)

        page = await paginator.from_store(fetch, lambda attempt: attempt.position, accepts, to_api)
        return Response([to_api(attempt) for attempt in page.items], metadata=page.metadata())


def to_api(attempt: StoredAttempt) -> dict[str, Any]:
    """Return an attempt in its public form; ``timestamp`` is in Gregorian seconds."""
    document = {**attempt.document, "timestamp": to_gregorian(attempt.made_at)}
    return {"id": str(attempt.position), **with_response_code(document)}


def with_response_code(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return an attempt with the status under both of its names.

    KAZOO writes ``resp_status_code`` (``webhooks_util``), and its schema ``webhook_attempts`` and its clients
    have ``response_code``.
    """
    status = document.get("resp_status_code")
    return {**document} if status is None else {**document, "response_code": status}
