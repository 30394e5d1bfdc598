"""What was sent to hooks and what came back."""

from __future__ import annotations

from attrs import frozen
from klein import Klein
from klein.app import KleinRequest

from kazoo_bridge.interfaces import IDirectory, StoredAttempt
from kazoo_bridge.kazoo import to_gregorian
from kazoo_bridge.rest.accounts import for_account
from kazoo_bridge.rest.errors import bad_identifier
from kazoo_bridge.rest.exchange import Answer, Exchange
from kazoo_bridge.rest.filters import Filters
from kazoo_bridge.rest.pages import Paging
from kazoo_bridge.webhooks.attempts import AttemptRecorder, listed_form
from kazoo_bridge.webhooks.hooks import Hooks


@frozen
class AttemptResource:
    """Attempts, newest first, of an account or of one of its hooks."""

    directory: IDirectory
    hooks: Hooks
    recorder: AttemptRecorder
    node: str

    async def of_account(self, request: KleinRequest, account_id: str) -> bytes:
        """GET: all of the account's."""
        return await self._list(request, account_id, None)

    async def of_hook(self, request: KleinRequest, account_id: str, hook_id: str) -> bytes:
        """GET: one hook's."""
        return await self._list(request, account_id, hook_id)

    async def _list(self, request: KleinRequest, account_id: str, hook_id: str | None) -> bytes:
        async def handler(exchange: Exchange) -> Answer:
            if hook_id is not None and await self.hooks.get(account_id, hook_id) is None:
                raise bad_identifier(hook_id)
            filters, paging = Filters.of(exchange.query), Paging.of(exchange.query, exchange.path)

            async def fetch(before: int | None, count: int) -> list[StoredAttempt]:
                return await self.recorder.listed(account_id, hook_id, before, count)

            def accepts(attempt: StoredAttempt) -> bool:
                made = to_gregorian(attempt.made)
                return filters.accepts(listed_form(attempt), made, made)

            page = await paging.of_store(fetch, lambda attempt: attempt.position, accepts)
            return Answer([listed_form(attempt) for attempt in page.items], more=page.more())

        return await for_account(request, self.directory, self.node, account_id, handler)

    def route(self, app: Klein) -> None:
        """Put the resource on its paths."""
        app.route("/v2/accounts/<account_id>/webhooks/attempts", methods=["GET"])(self.of_account)
        app.route("/v2/accounts/<account_id>/webhooks/<hook_id>/attempts", methods=["GET"])(self.of_hook)
