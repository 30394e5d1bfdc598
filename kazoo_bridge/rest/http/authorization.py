"""Handlers of what belongs to an account: who is asking, may they, and does the account exist."""

from __future__ import annotations

from klein.app import KleinRequest

from kazoo_bridge.interfaces import IDirectory, RevisionConflict, TooManyHooks
from kazoo_bridge.rest.http.errors import bad_identifier, conflict, too_many_hooks, validation_error
from kazoo_bridge.rest.http.request_context import Handler, RequestContext, Response, handle_request
from kazoo_bridge.webhooks.hooks.hook_document import InvalidDocument


async def for_account(
    request: KleinRequest, directory: IDirectory, node: str, account_id: str, handler: Handler
) -> bytes:
    """Run `handler` for whoever may act for the account; the answer's bytes.

    Others are refused: 401 without a good token, 403 for somebody else's account, 404 for one that there is not. What `handler` finds
    wrong with a document is told as a validation error, and a document that has changed in the meantime as a conflict.
    """

    async def allowed(exchange: RequestContext) -> Response:
        await exchange.authenticate(directory)
        await exchange.authorize(directory, account_id)
        if await directory.account(account_id) is None:
            raise bad_identifier(account_id)
        try:
            return await handler(exchange)
        except InvalidDocument as error:
            raise validation_error(error.errors) from None
        except TooManyHooks as error:
            raise too_many_hooks(error.limit) from None
        except RevisionConflict:
            raise conflict() from None

    return await handle_request(request, node, allowed)
