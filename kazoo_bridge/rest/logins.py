"""``/v2/api_auth`` and ``/v2/token_auth``: a token for an API key, and what a token stands for."""

from __future__ import annotations

from typing import Any

from attrs import field, frozen
from klein import Klein
from klein.app import KleinRequest
from twisted.internet.interfaces import IReactorTime

from kazoo_bridge.interfaces import IDirectory, Principal
from kazoo_bridge.rest.errors import invalid, invalid_credentials, too_many_requests
from kazoo_bridge.rest.exchange import Answer, Exchange, answer
from kazoo_bridge.rest.guessing import FailureLimit


@frozen
class LoginResource:
    """Logging in. `clock` tells the time by which failures are forgiven."""

    directory: IDirectory
    node: str
    clock: IReactorTime
    _failures: FailureLimit = field(init=False)

    @_failures.default
    def _limit(self) -> FailureLimit:
        return FailureLimit(self.clock)

    async def api_auth(self, request: KleinRequest) -> bytes:
        """PUT: a fresh token for an API key."""

        async def handler(exchange: Exchange) -> Answer:
            api_key = _api_key(exchange)
            address = str(getattr(exchange.request.getClientAddress(), "host", "local"))
            if seconds := self._failures.take(address):
                raise too_many_requests(seconds, "failures from this address")
            login = await self.directory.login(api_key)
            if login is None:
                raise invalid_credentials("this API key is not known")
            self._failures.give_back(address)
            exchange.token, exchange.principal = login
            return Answer(await self._described(login[1]), 201)

        return await answer(request, self.node, handler)

    async def token_auth(self, request: KleinRequest) -> bytes:
        """GET: whom the token speaks for."""

        async def handler(exchange: Exchange) -> Answer:
            await exchange.authenticate(self.directory)
            if exchange.principal is None:
                raise invalid_credentials()
            return Answer(await self._described(exchange.principal))

        return await answer(request, self.node, handler)

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


def _api_key(exchange: Exchange) -> str:
    api_key = exchange.data.get("api_key")
    if api_key is None:
        raise invalid({"api_key": {"required": {"message": "this field is required"}}})
    if not isinstance(api_key, str):
        raise invalid({"api_key": {"type": {"message": "expected a value of type string", "target": "string", "cause": api_key}}})
    return api_key
