"""``/v2/api_auth`` and ``/v2/token_auth``: tokens for API keys, and the account of a token."""

from __future__ import annotations

from typing import Any

from attrs import frozen

from kazoo_bridge.interfaces import IDirectory, Principal
from kazoo_bridge.kazoo import to_gregorian
from kazoo_bridge.rest.http.authorization import open_handler
from kazoo_bridge.rest.http.errors import invalid_credentials, invalid_field, too_many_requests
from kazoo_bridge.rest.http.rate_limit import LoginThrottle
from kazoo_bridge.rest.http.request_context import RequestContext, Response
from kazoo_bridge.rest.http.routing import RoutedResource, route


@frozen
class AuthResource(RoutedResource):
    """Logins. `throttle` limits failed ones."""

    directory: IDirectory
    throttle: LoginThrottle

    @route("PUT", "/v2/api_auth")
    @open_handler
    async def log_in(self, context: RequestContext) -> Response:
        """Answer with a new token for an API key."""
        api_key = _parse_api_key(context.data)
        address = str(getattr(context.request.getClientAddress(), "host", "local"))
        if seconds := self.throttle.take(address):
            raise too_many_requests(seconds, "failures from this address")
        login = await self.directory.login(api_key)
        if login is None:
            raise invalid_credentials("this API key is not known")
        self.throttle.give_back(address)
        context.token, context.principal = login
        return Response(await self._to_api(context.principal), 201)

    @route("GET", "/v2/token_auth")
    @open_handler
    async def describe_token(self, context: RequestContext) -> Response:
        """Answer with the account of the request's token."""
        await context.authenticate(self.directory)
        if context.principal is None:
            raise invalid_credentials()
        return Response(await self._to_api(context.principal))

    async def _to_api(self, principal: Principal) -> dict[str, Any]:
        account = await self.directory.account(principal.account_id)
        document: dict[str, Any] = {"account_id": principal.account_id}
        if account is not None:
            document["account_name"] = account.name
            if account.reseller_id is not None:
                document["reseller_id"] = account.reseller_id
        if principal.expires is not None:
            document["expires"] = to_gregorian(principal.expires)
        return document


def _parse_api_key(data: dict[str, Any]) -> str:
    api_key = data.get("api_key")
    if api_key is None:
        raise invalid_field("api_key", "required")
    if not isinstance(api_key, str):
        raise invalid_field("api_key", "type", target="string", cause=api_key)
    return api_key
