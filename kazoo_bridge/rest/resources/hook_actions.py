"""Operations on hooks besides their documents: enabling, samples, and secrets."""

from __future__ import annotations

from typing import Any

from attrs import frozen

from kazoo_bridge.interfaces import IDirectory, IWebhooks, NoSample, TooManySamples
from kazoo_bridge.rest.http.authorization import account_handler
from kazoo_bridge.rest.http.errors import invalid_field, too_many_requests
from kazoo_bridge.rest.http.request_context import RequestContext, Response
from kazoo_bridge.rest.http.routing import RoutedResource, route
from kazoo_bridge.rest.resources.attempts import with_response_code
from kazoo_bridge.rest.resources.webhooks import author_of, get_hook, get_hook_to_write, new_secret

_ACCOUNT = "/v2/accounts/<account_id>"
_HOOK = f"{_ACCOUNT}/webhooks/<hook_id>"
_RE_ENABLE = "re-enable"


@frozen
class HookActionResource(RoutedResource):
    """Operations on hooks."""

    directory: IDirectory
    webhooks: IWebhooks

    @route("PATCH", f"{_ACCOUNT}/webhooks")
    @account_handler
    async def re_enable(self, context: RequestContext, account_id: str) -> Response:
        """Enable the account's hooks that were disabled because of failures."""
        require_re_enable(context)
        return _make_count_response(await self.webhooks.enable_hooks([account_id]))

    @route("PATCH", f"{_ACCOUNT}/descendants/webhooks")
    @account_handler
    async def re_enable_descendants(self, context: RequestContext, account_id: str) -> Response:
        """Enable such hooks of the account and of all accounts below it."""
        require_re_enable(context)
        account_ids = {account_id, *await self.directory.descendants(account_id)}
        return _make_count_response(await self.webhooks.enable_hooks(account_ids))

    @route("POST", f"{_HOOK}/test")
    @account_handler
    async def send_sample(self, _context: RequestContext, account_id: str, hook_id: str) -> Response:
        """Send a sample now, and answer with the attempt."""
        hook = await get_hook(self.webhooks, account_id, hook_id)
        try:
            return Response(with_response_code(await self.webhooks.send_sample(hook)))
        except NoSample as error:
            raise invalid_field("hook", "enum", str(error), cause=hook.document["hook"]) from None
        except TooManySamples as error:
            raise too_many_requests(error.retry_after, "samples") from None

    @route("POST", f"{_HOOK}/secret")
    @account_handler
    async def rotate_secret(self, context: RequestContext, account_id: str, hook_id: str) -> Response:
        """Set a new secret or key pair, given or generated; the old one stays valid for a while."""
        given: dict[str, Any] = {"secret": True} | (context.data if context.envelope.get("data") else {})
        if not given["secret"]:
            message = "expected a secret, or true; DELETE ends signing"
            raise invalid_field("secret", "wrong_format", message)
        changes = {"secret": given["secret"]}
        if "overlap_seconds" in given:
            changes["secret_overlap_seconds"] = given["overlap_seconds"]
        if "signature" in given:
            changes["signature"] = given["signature"]
        hook = await self.webhooks.update_secret(
            await get_hook_to_write(self.webhooks, context, account_id, hook_id), changes, author_of(context)
        )
        return Response({"id": hook_id, **new_secret(self.webhooks, hook)}, 201, hook.revision)

    @route("DELETE", f"{_HOOK}/secret")
    @account_handler
    async def end_signing(self, context: RequestContext, account_id: str, hook_id: str) -> Response:
        """Remove all secrets, so that requests are no longer signed."""
        hook = await get_hook_to_write(self.webhooks, context, account_id, hook_id)
        hook = await self.webhooks.update_secret(hook, {"secret": None}, author_of(context))
        return Response({"id": hook_id}, revision=hook.revision)


def require_re_enable(context: RequestContext) -> None:
    """Check that a PATCH of a collection says ``re-enable``; raises a validation error."""
    given = context.find_value(_RE_ENABLE)
    if given is None:
        raise invalid_field(_RE_ENABLE, "required", "collections are patched with re-enable only")
    if given is not True and given != "true":
        raise invalid_field(_RE_ENABLE, "enum", target=[True], cause=given)


def _make_count_response(count: int) -> Response:
    return Response("hooks updated", metadata={"count": count})
