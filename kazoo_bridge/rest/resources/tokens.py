"""``/v2/accounts/{A}/tokens``: the stored tokens of an account, which KAZOO's API does not list."""

from __future__ import annotations

import re
from typing import Any

from attrs import frozen

from kazoo_bridge.interfaces import AccountToken, IAccountManager, IDirectory
from kazoo_bridge.kazoo import to_gregorian
from kazoo_bridge.rest.http.authorization import account_handler
from kazoo_bridge.rest.http.errors import bad_identifier, forbidden, restricted
from kazoo_bridge.rest.http.filters import Filters
from kazoo_bridge.rest.http.pagination import Paginator
from kazoo_bridge.rest.http.request_context import RequestContext, Response
from kazoo_bridge.rest.http.routing import RoutedResource, route

_TOKENS = "/v2/accounts/<account_id>/tokens"

_TOKEN_ID = re.compile(r"[0-9a-f]{64}")


@frozen
class TokenResource(RoutedResource):
    """Lists tokens by their digests, never the tokens themselves, and ends them."""

    directory: IDirectory
    accounts: IAccountManager

    @route("GET", _TOKENS)
    @account_handler
    async def list(self, context: RequestContext, account_id: str) -> Response:
        """Answer with the tokens of the account, newest first."""
        filters = Filters.parse(context.query)
        paginator = Paginator.from_query(context.query, context.path, context.max_page_bytes)
        current = None if context.token is None else self.accounts.token_id(context.token)
        entries = [to_api(token, current) for token in await self.accounts.tokens(account_id)]
        page = paginator.from_list(
            [entry for entry in entries if filters.accepts(entry)],
            position=lambda entry: -int(entry["created"]),
            identity=lambda entry: str(entry["id"]),
            show=lambda entry: entry,
        )
        return Response(page.items, metadata=page.metadata())

    @route("DELETE", f"{_TOKENS}/<token_id>")
    @account_handler
    async def revoke(self, context: RequestContext, account_id: str, token_id: str) -> Response:
        """End a token. Only super-admins end those of a super-admin, and restricted tokens end none."""
        principal = context.principal
        if principal is None or principal.restrictions is not None:
            raise restricted()
        account = await self.directory.account(account_id)
        if account is not None and account.superadmin and not principal.superadmin:
            raise forbidden()
        if not _TOKEN_ID.fullmatch(token_id) or not await self.accounts.revoke_token(account_id, token_id):
            raise bad_identifier(token_id[:64])
        return Response({"id": token_id})


def to_api(token: AccountToken, current: str | None) -> dict[str, Any]:
    """Return a token as it is listed; times are in Gregorian seconds. `current`: the id of the request's."""
    document: dict[str, Any] = {
        "id": token.id,
        "created": to_gregorian(token.created),
        "api_key": token.from_api_key,
        "restricted": token.restricted,
        "current": token.id == current,
    }
    return document if token.expires is None else document | {"expires": to_gregorian(token.expires)}
