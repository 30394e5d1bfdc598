"""``/v2/accounts/{A}/configs/webhooks``: limits that those above an account set for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import fields, frozen
from klein import Klein
from klein.app import KleinRequest

from kazoo_bridge.interfaces import MAX_ACCOUNT_LIMIT, AccountLimits, IDirectory, ILimitStore
from kazoo_bridge.json_numbers import to_integer
from kazoo_bridge.rest.http.authorization import for_account
from kazoo_bridge.rest.http.errors import forbidden, validation_error
from kazoo_bridge.rest.http.request_context import Handler, RequestContext, Response

#: Of each limit.
LIMIT_SCHEMA: Mapping[str, Any] = {"type": "integer", "minimum": 1, "maximum": MAX_ACCOUNT_LIMIT}


def parse_limits(data: Mapping[str, Any]) -> AccountLimits:
    """The limits in a document; raises a validation error."""
    names = [field.name for field in fields(AccountLimits)]
    errors: dict[str, dict[str, dict[str, Any]]] = {}
    given: dict[str, int | None] = {}
    for name, value in data.items():
        number = to_integer(value)
        if name not in names:
            errors[name] = {
                "additionalProperties": {"message": f"expected one of {', '.join(names)}", "target": names}
            }
        elif value is not None and number is None:
            errors[name] = {
                "type": {"message": "expected a whole number", "target": "integer", "cause": value}
            }
        elif number is not None and number < LIMIT_SCHEMA["minimum"]:
            errors[name] = {"minimum": {"message": "expected at least 1", "target": 1, "cause": value}}
        elif number is not None and number > LIMIT_SCHEMA["maximum"]:
            errors[name] = {
                "maximum": {
                    "message": f"expected at most {MAX_ACCOUNT_LIMIT}",
                    "target": MAX_ACCOUNT_LIMIT,
                    "cause": value,
                }
            }
        else:
            given[name] = number
    if errors:
        raise validation_error(errors)
    return AccountLimits(**given)


def _document(limits: AccountLimits) -> dict[str, int]:
    return {
        field.name: value
        for field in fields(AccountLimits)
        if (value := getattr(limits, field.name)) is not None
    }


@frozen
class LimitResource:
    """The account may read its limits; only those above it may write them."""

    directory: IDirectory
    limits: ILimitStore
    node: str

    async def _for_account(self, request: KleinRequest, account_id: str, handler: Handler) -> bytes:
        return await for_account(request, self.directory, self.node, account_id, handler)

    async def read(self, request: KleinRequest, account_id: str) -> bytes:
        """GET: what differs from the configuration."""

        async def handler(_: RequestContext) -> Response:
            return Response(_document(await self.limits.get(account_id)))

        return await self._for_account(request, account_id, handler)

    async def replace(self, request: KleinRequest, account_id: str) -> bytes:
        """POST: all limits anew."""
        return await self._write(request, account_id, keep=False)

    async def patch(self, request: KleinRequest, account_id: str) -> bytes:
        """PATCH: some limits; null goes back to the configuration's."""
        return await self._write(request, account_id, keep=True)

    async def delete(self, request: KleinRequest, account_id: str) -> bytes:
        """DELETE: back to the configuration's."""

        async def handler(exchange: RequestContext) -> Response:
            _require_ancestor(exchange, account_id)
            limits = await self.limits.get(account_id)
            await self.limits.put(account_id, AccountLimits())
            return Response(_document(limits))

        return await self._for_account(request, account_id, handler)

    async def _write(self, request: KleinRequest, account_id: str, *, keep: bool) -> bytes:
        async def handler(exchange: RequestContext) -> Response:
            _require_ancestor(exchange, account_id)
            kept = _document(await self.limits.get(account_id)) if keep else {}
            limits = parse_limits(kept | exchange.data)
            await self.limits.put(account_id, limits)
            return Response(_document(limits))

        return await self._for_account(request, account_id, handler)

    def route(self, app: Klein) -> None:
        """Put the resource on its paths."""
        path = "/v2/accounts/<account_id>/configs/webhooks"
        for verb, handler in (
            ("GET", self.read),
            ("POST", self.replace),
            ("PATCH", self.patch),
            ("DELETE", self.delete),
        ):
            app.route(path, methods=[verb])(handler)


def _require_ancestor(exchange: RequestContext, account_id: str) -> None:
    principal = exchange.principal
    if principal is None or (principal.account_id == account_id and not principal.superadmin):
        raise forbidden()
