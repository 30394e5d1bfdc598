"""Logins with API keys and of users, and tokens: whose they are, and their end."""

from __future__ import annotations

from typing import Any

from attrs import frozen

from kazoo_bridge.interfaces import IDirectory, Principal
from kazoo_bridge.kazoo import to_gregorian
from kazoo_bridge.rest.http.authorization import open_handler
from kazoo_bridge.rest.http.errors import (
    invalid_credentials,
    invalid_field,
    missing_token,
    too_many_requests,
)
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
        api_key = _require_text(context.data, "api_key")
        address = self._begin_login(context)
        login = await self.directory.login(api_key)
        if login is None:
            raise invalid_credentials("this API key is not known")
        self.throttle.give_back(address)
        context.token, context.principal = login
        return Response(await self._to_api(context.principal), 201)

    @route("PUT", "/v2/user_auth")
    @open_handler
    async def log_in_user(self, context: RequestContext) -> Response:
        """Answer with a new token for the hash of a user's name and password, as KAZOO does."""
        credentials = context.data
        _require_text(credentials, "credentials")
        address = self._begin_login(context)
        login = await self.directory.log_in_user(credentials)
        if login is None:
            raise invalid_credentials("users cannot log in here: directory.kind has none that knows users")
        self.throttle.give_back(address)
        context.token, context.principal = login.token, login.principal
        return Response(dict(login.data), 201)

    @route("GET", "/v2/token_auth")
    @open_handler
    async def describe_token(self, context: RequestContext) -> Response:
        """Answer with the account of the request's token."""
        await context.authenticate(self.directory)
        if context.principal is None:
            raise invalid_credentials()
        return Response(await self._to_api(context.principal))

    @route("POST", "/v2/auth/tokeninfo")
    @open_handler
    async def describe_given_token(self, context: RequestContext) -> Response:
        """Answer with the account and the user of the token in the body, like ``cb_auth`` for monster-ui."""
        token = context.data.get("token")
        if not isinstance(token, str) or not token:
            raise missing_token()
        await context.authenticate(self.directory, token=token)
        if context.principal is None:
            raise invalid_credentials()
        return Response(await self._to_login_data(context.principal))

    @route("DELETE", "/v2/token_auth")
    @open_handler
    async def log_out(self, context: RequestContext) -> Response:
        """End the request's token."""
        await context.authenticate(self.directory)
        if context.token is None or not await self.directory.log_out(context.token):
            raise invalid_credentials()
        context.token = context.principal = None
        return Response({})

    def _begin_login(self, context: RequestContext) -> str:
        """Count a login as failed until it has not; returns the client's address. Raises 429."""
        address = str(getattr(context.request.getClientAddress(), "host", "local"))
        if seconds := self.throttle.take(address):
            raise too_many_requests(seconds, "failures from this address")
        return address

    async def _to_login_data(self, principal: Principal) -> dict[str, Any]:
        """Return what KAZOO answers about the account and the user of a token."""
        account = await self.directory.account(principal.account_id)
        document = await self._to_api(principal) | {"apps": []}
        if principal.user_id is not None:
            document["owner_id"] = principal.user_id
        if account is not None:
            document |= {"is_reseller": account.is_reseller, "is_master_account": account.superadmin}
        return document

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


def _require_text(data: dict[str, Any], name: str) -> str:
    text = data.get(name)
    if text is None:
        raise invalid_field(name, "required")
    if not isinstance(text, str):
        raise invalid_field(name, "type", target="string", cause=text)
    return text
