"""``/v2/webhooks`` and ``/v2/accounts/{A}/webhooks``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen
from klein import Klein
from klein.app import KleinRequest

from kazoo_bridge.interfaces import HookType, IDirectory, StoredHook
from kazoo_bridge.rest.http.authorization import for_account
from kazoo_bridge.rest.http.errors import bad_identifier
from kazoo_bridge.rest.http.filters import Filters
from kazoo_bridge.rest.http.pagination import Page, Paginator
from kazoo_bridge.rest.http.request_context import Handler, RequestContext, Response, handle_request
from kazoo_bridge.rest.resources.catalogue import catalogue
from kazoo_bridge.webhooks.attempts.health import HealthReport
from kazoo_bridge.webhooks.hooks.hook_service import HookService

_LISTED = ("hook", "name", "uri", "group", "enabled", "disable_reason")


def _list_entry(hook: StoredHook) -> dict[str, Any]:
    return {"id": hook.id} | {name: hook.document[name] for name in _LISTED if name in hook.document}


def _is_superadmin(exchange: RequestContext) -> bool:
    return exchange.principal is not None and exchange.principal.superadmin


def _accepted(filters: Filters, hook: StoredHook) -> bool:
    return filters.accepts({**hook.document, "id": hook.id}, hook.created, hook.modified)


@frozen
class WebhookResource:
    """Hooks over REST."""

    directory: IDirectory
    hooks: HookService
    health: HealthReport
    hook_types: Sequence[HookType]
    node: str

    async def _for_account(self, request: KleinRequest, account_id: str, handler: Handler) -> bytes:
        return await for_account(request, self.directory, self.node, account_id, handler)

    async def _found(self, account_id: str, hook_id: str) -> StoredHook:
        hook = await self.hooks.get(account_id, hook_id)
        if hook is None:
            raise bad_identifier(hook_id)
        return hook

    async def _page(self, exchange: RequestContext, account_id: str) -> Page[StoredHook]:
        filters, paging = Filters.parse(exchange.query), Paginator.from_query(exchange.query, exchange.path)
        hooks = [hook for hook in await self.hooks.for_account(account_id) if _accepted(filters, hook)]
        return paging.from_list(hooks, position=lambda hook: hook.created, identity=lambda hook: hook.id)

    async def _whole(
        self, hook: StoredHook, status: int = 200, asked: Mapping[str, Any] | None = None
    ) -> Response:
        """The document, with the hook's recent health; its secret only when the request has just set it."""
        document: dict[str, Any] = {
            **hook.document,
            "id": hook.id,
            "health": await self.health.for_hook(hook),
        }
        if hook.secrets:
            document["signed"] = True
            if asked is not None and asked.get("secret"):
                document["secret"] = hook.secrets[0].value
        return Response(document, status, hook.revision)

    async def _current(self, exchange: RequestContext, account_id: str, hook_id: str) -> StoredHook:
        """The hook to be written over; the store refuses the write if it changes from here on."""
        hook = await self._found(account_id, hook_id)
        exchange.check_preconditions(hook.revision)
        return hook

    async def catalogue(self, request: KleinRequest) -> bytes:
        """GET: the kinds of hooks, for anybody; a super-admin's token shows what only they may choose."""

        async def handler(exchange: RequestContext) -> Response:
            await exchange.authenticate_optional(self.directory)
            return Response(catalogue(self.hook_types, superadmin=_is_superadmin(exchange)))

        return await handle_request(request, self.node, handler)

    async def list(self, request: KleinRequest, account_id: str) -> bytes:
        """GET: the account's hooks in short, oldest first."""

        async def handler(exchange: RequestContext) -> Response:
            page = await self._page(exchange, account_id)
            return Response([_list_entry(hook) for hook in page.items], more=page.more())

        return await self._for_account(request, account_id, handler)

    async def healths(self, request: KleinRequest, account_id: str) -> bytes:
        """GET: how each of the account's hooks is doing, in the order, filters and pages of `list`."""

        async def handler(exchange: RequestContext) -> Response:
            page = await self._page(exchange, account_id)
            reports = await self.health.for_hooks(page.items)
            return Response([{"id": hook.id, **reports[hook.id]} for hook in page.items], more=page.more())

        return await self._for_account(request, account_id, handler)

    async def create(self, request: KleinRequest, account_id: str) -> bytes:
        """PUT: a new hook."""

        async def handler(exchange: RequestContext) -> Response:
            return await self._whole(
                await self.hooks.create(account_id, exchange.data, superadmin=_is_superadmin(exchange)),
                201,
                exchange.data,
            )

        return await self._for_account(request, account_id, handler)

    async def read(self, request: KleinRequest, account_id: str, hook_id: str) -> bytes:
        """GET: one hook, with its recent health."""

        async def handler(_: RequestContext) -> Response:
            return await self._whole(await self._found(account_id, hook_id))

        return await self._for_account(request, account_id, handler)

    async def replace(self, request: KleinRequest, account_id: str, hook_id: str) -> bytes:
        """POST: a whole new document."""

        async def handler(exchange: RequestContext) -> Response:
            hook = await self._current(exchange, account_id, hook_id)
            return await self._whole(
                await self.hooks.replace(hook, exchange.data, superadmin=_is_superadmin(exchange)),
                asked=exchange.data,
            )

        return await self._for_account(request, account_id, handler)

    async def patch(self, request: KleinRequest, account_id: str, hook_id: str) -> bytes:
        """PATCH: some keys; null removes one."""

        async def handler(exchange: RequestContext) -> Response:
            hook = await self._current(exchange, account_id, hook_id)
            return await self._whole(
                await self.hooks.patch(hook, exchange.data, superadmin=_is_superadmin(exchange)),
                asked=exchange.data,
            )

        return await self._for_account(request, account_id, handler)

    async def delete(self, request: KleinRequest, account_id: str, hook_id: str) -> bytes:
        """DELETE: answers with the document that was."""

        async def handler(exchange: RequestContext) -> Response:
            hook = await self._current(exchange, account_id, hook_id)
            await self.hooks.delete(hook)
            return await self._whole(hook)

        return await self._for_account(request, account_id, handler)

    def route(self, app: Klein) -> None:
        """Put the resource on its paths."""
        account, one = "/v2/accounts/<account_id>/webhooks", "/v2/accounts/<account_id>/webhooks/<hook_id>"
        app.route("/v2/webhooks", methods=["GET"])(self.catalogue)
        app.route(account, methods=["GET"])(self.list)
        app.route(account, methods=["PUT"])(self.create)
        app.route(f"{account}/health", methods=["GET"])(self.healths)
        app.route(one, methods=["GET"])(self.read)
        app.route(one, methods=["POST"])(self.replace)
        app.route(one, methods=["PATCH"])(self.patch)
        app.route(one, methods=["DELETE"])(self.delete)
