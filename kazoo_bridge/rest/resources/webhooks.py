"""``/v2/accounts/{A}/webhooks``: an account's hooks, and their health."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import frozen

from kazoo_bridge.interfaces import HookAuthor, IDirectory, IWebhooks, StoredHook
from kazoo_bridge.kazoo import is_true
from kazoo_bridge.rest.http.authorization import account_handler
from kazoo_bridge.rest.http.errors import bad_identifier
from kazoo_bridge.rest.http.etags import check_preconditions
from kazoo_bridge.rest.http.filters import Filters
from kazoo_bridge.rest.http.pagination import Page, Paginator
from kazoo_bridge.rest.http.request_context import RequestContext, Response
from kazoo_bridge.rest.http.routing import RoutedResource, route

_HOOKS = "/v2/accounts/<account_id>/webhooks"
_HOOK = f"{_HOOKS}/<hook_id>"

#: The health of a hook that was just created; reading it would take longer than creating the hook.
_NEW_HEALTH: Mapping[str, Any] = {
    "successes": 0,
    "failures": 0,
    "failures_in_window": 0,
    "deliveries_waiting": 0,
    "deliveries_dead": 0,
    "events_missed": 0,
    "missed_by_reason": {},
}

_SOFT_DELETE = "should_soft_delete"

_LIST_KEYS = ("hook", "name", "uri", "group", "enabled", "disable_reason")


@frozen
class WebhookResource(RoutedResource):
    """Hooks."""

    directory: IDirectory
    webhooks: IWebhooks

    @route("GET", _HOOKS)
    @account_handler
    async def list(self, context: RequestContext, account_id: str) -> Response:
        """Answer with a page of the account's hooks in short, oldest first."""
        page = await self._page(context, account_id)
        return Response([_list_entry(hook) for hook in page.items], metadata=page.metadata())

    @route("GET", f"{_HOOKS}/health")
    @account_handler
    async def list_health(self, context: RequestContext, account_id: str) -> Response:
        """Answer with the health of the account's hooks, in the order, filters and pages of `list`."""
        page = await self._page(context, account_id)
        health = await self.webhooks.health(page.items)
        entries = [{"id": hook.id, **health[hook.id]} for hook in page.items]
        return Response(entries, metadata=page.metadata())

    @route("PUT", _HOOKS)
    @account_handler
    async def create(self, context: RequestContext, account_id: str) -> Response:
        """Create a hook."""
        data = context.data
        hook = await self.webhooks.create_hook(account_id, data, author_of(context))
        return self._to_response(hook, _NEW_HEALTH, 201, written=data)

    @route("GET", _HOOK)
    @account_handler
    async def read(self, _context: RequestContext, account_id: str, hook_id: str) -> Response:
        """Answer with one hook."""
        return await self._respond(await get_hook(self.webhooks, account_id, hook_id))

    @route("POST", _HOOK)
    @account_handler
    async def replace(self, context: RequestContext, account_id: str, hook_id: str) -> Response:
        """Replace a hook's document."""
        hook = await get_hook_to_write(self.webhooks, context, account_id, hook_id)
        data = context.data
        hook = await self.webhooks.replace_hook(hook, data, author_of(context))
        return await self._respond(hook, written=data)

    @route("PATCH", _HOOK)
    @account_handler
    async def patch(self, context: RequestContext, account_id: str, hook_id: str) -> Response:
        """Replace keys of a hook's document; null removes a key."""
        hook = await get_hook_to_write(self.webhooks, context, account_id, hook_id)
        data = context.data
        hook = await self.webhooks.patch_hook(hook, data, author_of(context))
        return await self._respond(hook, written=data)

    @route("DELETE", _HOOK)
    @account_handler
    async def delete(self, context: RequestContext, account_id: str, hook_id: str) -> Response:
        """Delete a hook; answers with the hook as it was.

        ``should_soft_delete=false``, in the query or the body, also removes KAZOO's document of the hook, as
        in crossbar (``cb_context``).
        """
        hook = await get_hook_to_write(self.webhooks, context, account_id, hook_id)
        await self.webhooks.delete_hook(hook, author_of(context), soft=_is_soft(context))
        return await self._respond(hook)

    async def _page(self, context: RequestContext, account_id: str) -> Page[StoredHook]:
        filters = Filters.parse(context.query)
        paginator = Paginator.from_query(context.query, context.path, context.max_page_bytes)
        hooks = [
            hook
            for hook in await self.webhooks.hooks(account_id)
            if filters.accepts({**hook.document, "id": hook.id}, hook.created, hook.modified)
        ]
        return paginator.from_list(
            hooks, position=lambda hook: hook.created, identity=lambda hook: hook.id, show=_list_entry
        )

    async def _respond(self, hook: StoredHook, *, written: Mapping[str, Any] | None = None) -> Response:
        """Return a response with the hook and its health.

        It has the hook's shared secret only if `written` has just set one, and never a private key.
        """
        health = (await self.webhooks.health([hook]))[hook.id]
        return self._to_response(hook, health, written=written)

    def _to_response(
        self,
        hook: StoredHook,
        health: Mapping[str, Any],
        status: int = 200,
        *,
        written: Mapping[str, Any] | None = None,
    ) -> Response:
        document: dict[str, Any] = {**hook.document, "id": hook.id, "health": health}
        if "headers" in document:
            document["custom_request_headers"] = document["headers"]  # monster-ui's name for them
        if written is not None and written.get("secret"):
            document |= new_secret(self.webhooks, hook)
        else:
            document |= self.webhooks.signature(hook)
        return Response(document, status, hook.revision)


def author_of(context: RequestContext) -> HookAuthor | None:
    """Return the account and the user of the request's token, and the request's id."""
    principal = context.principal
    if principal is None:
        return None
    return HookAuthor(principal.account_id, principal.user_id, context.request_id)


def _is_soft(context: RequestContext) -> bool:
    """Return whether a deletion is soft: unless the client says no, like in crossbar."""
    given = context.find_value(_SOFT_DELETE)
    return given is None or is_true(given)


def _list_entry(hook: StoredHook) -> dict[str, Any]:
    return {"id": hook.id} | {key: hook.document[key] for key in _LIST_KEYS if key in hook.document}


def new_secret(webhooks: IWebhooks, hook: StoredHook) -> dict[str, Any]:
    """Return what the client that has set a hook's secret sees of it: a shared secret, or the public key."""
    shown = dict(webhooks.signature(hook))
    return shown if "public_key" in shown else {**shown, "secret": hook.secrets[0].value}


async def get_hook(webhooks: IWebhooks, account_id: str, hook_id: str) -> StoredHook:
    """Return a hook of the account; raises 404 if the account has no hook of that id."""
    hook = await webhooks.hook(account_id, hook_id)
    if hook is None:
        raise bad_identifier(hook_id)
    return hook


async def get_hook_to_write(
    webhooks: IWebhooks, context: RequestContext, account_id: str, hook_id: str
) -> StoredHook:
    """Return a hook if the conditions of the request hold (else 412).

    The store refuses to write over a later revision, so that no change after this check is lost.
    """
    hook = await get_hook(webhooks, account_id, hook_id)
    check_preconditions(context.request, hook.revision)
    return hook
