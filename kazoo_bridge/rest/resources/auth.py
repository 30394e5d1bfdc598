"""``/v2/api_auth`` and ``/v2/token_auth``: a token for an API key, and what a token stands for."""

from __future__ import annotations

from typing import Any

from attrs import field, frozen
from klein import Klein
from klein.app import KleinRequest
from twisted.internet.interfaces import IReactorTime

from kazoo_bridge.interfaces import IDirectory, Principal
from kazoo_bridge.rest.http.errors import invalid_credentials, too_many_requests, validation_error
from kazoo_bridge.rest.http.login_throttle import LoginThrottle
from kazoo_bridge.rest.http.request_context import RequestContext, Response, handle_request


@frozen
class AuthResource:
    """Logging in. `clock` tells the time by which failures are forgiven."""

    directory: IDirectory
    node: str
    clock: IReactorTime
    _failures: LoginThrottle = field(init=False)

    @_failures.default
    def _limit(self) -> LoginThrottle:
        return LoginThrottle(self.clock)

    async def api_auth(self, request: KleinRequest) -> bytes:
        """PUT: a fresh token for an API key."""

        async def handler(exchange: RequestContext) -> Response:
            api_key = _api_key(exchange)
            address = str(getattr(exchange.request.getClientAddress(), "host", "local"))
            if seconds := self._failures.take(address):
                raise too_many_requests(seconds, "failures from this address")
            login = await self.directory.login(api_key)
            if login is None:
                raise invalid_credentials("this API key is not known")
            self._failures.give_back(address)
            exchange.token, exchange.principal = login
            return Response(await self._described(login[1]), 201)

        return await handle_request(request, self.node, handler)

    async def token_auth(self, request: KleinRequest) -> bytes:
        """GET: whom the token speaks for."""

        async def handler(exchange: RequestContext) -> Response:
            await exchange.authenticate(self.directory)
            if exchange.principal is None:
                raise invalid_credentials()
            return Response(await self._described(exchange.principal))

        return await handle_request(request, self.node, handler)

    async def _described(self, principal: Principal) -> dict[str, Any]:
        account = await self.directory.account(principal.account_id)
        described: dict[str, Any] = {"account_id": principal.account_id}
        if account is not None:
            described["account_name"] = account.name
            if account.reseller_id is not None:
                described["reseller_id"] = account.reseller_id
        return described

    def route(self, app: Klein) -> None:
        """Put the resource on its paths."""
        app.route("/v2/api_auth", methods=["PUT"])(self.api_auth)
        app.route("/v2/token_auth", methods=["GET"])(self.token_auth)


def _api_key(exchange: RequestContext) -> str:
    api_key = exchange.data.get("api_key")
    if api_key is None:
        raise validation_error({"api_key": {"required": {"message": "this field is required"}}})
    if not isinstance(api_key, str):
        raise validation_error(
            {
                "api_key": {
                    "type": {
                        "message": "expected a value of type string",
                        "target": "string",
                        "cause": api_key,
                    }
                }
            }
        )
    return api_key
