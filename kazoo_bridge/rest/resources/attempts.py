"""What was sent to hooks and what came back."""

from __future__ import annotations

from attrs import frozen
from klein import Klein
from klein.app import KleinRequest

from kazoo_bridge.interfaces import IDirectory, StoredAttempt
from kazoo_bridge.kazoo import to_gregorian
from kazoo_bridge.rest.http.authorization import for_account
from kazoo_bridge.rest.http.errors import bad_identifier
from kazoo_bridge.rest.http.filters import Filters
from kazoo_bridge.rest.http.pagination import Paginator
from kazoo_bridge.rest.http.request_context import RequestContext, Response
from kazoo_bridge.webhooks.attempts.attempt_recorder import AttemptRecorder, to_api
from kazoo_bridge.webhooks.hooks.hook_service import HookService


@frozen
class AttemptResource:
    """Attempts, newest first, of an account or of one of its hooks."""

    directory: IDirectory
    hooks: HookService
    recorder: AttemptRecorder
    node: str

    async def of_account(self, request: KleinRequest, account_id: str) -> bytes:
        """GET: all of the account's."""
        return await self._list(request, account_id, None)

    async def of_hook(self, request: KleinRequest, account_id: str, hook_id: str) -> bytes:
        """GET: one hook's."""
        return await self._list(request, account_id, hook_id)

    async def _list(self, request: KleinRequest, account_id: str, hook_id: str | None) -> bytes:
        async def handler(exchange: RequestContext) -> Response:
            if hook_id is not None and await self.hooks.get(account_id, hook_id) is None:
                raise bad_identifier(hook_id)
            filters, paging = (
                Filters.parse(exchange.query),
                Paginator.from_query(exchange.query, exchange.path),
            )

            async def fetch(before: int | None, count: int) -> list[StoredAttempt]:
                return await self.recorder.page(account_id, hook_id, before, count)

            def accepts(attempt: StoredAttempt) -> bool:
                made = to_gregorian(attempt.made_at)
                return filters.accepts(to_api(attempt), made, made)

            page = await paging.from_store(fetch, lambda attempt: attempt.position, accepts)
            return Response([to_api(attempt) for attempt in page.items], more=page.more())

        return await for_account(request, self.directory, self.node, account_id, handler)

    def route(self, app: Klein) -> None:
        """Put the resource on its paths."""
        app.route("/v2/accounts/<account_id>/webhooks/attempts", methods=["GET"])(self.of_account)
        app.route("/v2/accounts/<account_id>/webhooks/<hook_id>/attempts", methods=["GET"])(self.of_hook)
