"""``/v2/accounts/{A}/configs/webhooks``: an account's own limits, which only accounts above it may set."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any

from attrs import fields, frozen

from kazoo_bridge.interfaces import MAX_ACCOUNT_LIMIT, AccountLimits, IDirectory, IWebhooks
from kazoo_bridge.json_numbers import to_integer
from kazoo_bridge.rest.http.authorization import account_handler
from kazoo_bridge.rest.http.errors import forbidden, validation_error
from kazoo_bridge.rest.http.request_context import RequestContext, Response
from kazoo_bridge.rest.http.routing import RoutedResource, route
from kazoo_bridge.schema_errors import MAX_FIELDS, FieldErrors, add_errors, field_error

#: The JSON schema of each limit.
LIMIT_SCHEMA: Mapping[str, Any] = {"type": "integer", "minimum": 1, "maximum": MAX_ACCOUNT_LIMIT}

_PATH = "/v2/accounts/<account_id>/configs/webhooks"
_NAMES = [field.name for field in fields(AccountLimits)]


@frozen
class LimitResource(RoutedResource):
    """An account's own limits: readable by the account, writable from above."""

    directory: IDirectory
    webhooks: IWebhooks

    @route("GET", _PATH)
    @account_handler
    async def read(self, _context: RequestContext, account_id: str) -> Response:
        """Answer with the limits that differ from the configuration's."""
        return Response(_to_document(await self.webhooks.limits(account_id)))

    @route("POST", _PATH)
    @account_handler
    async def replace(self, context: RequestContext, account_id: str) -> Response:
        """Set all limits; a limit that is not given is the configuration's."""
        _require_ancestor(context, account_id)
        return await self._write(account_id, context.data)

    @route("PATCH", _PATH)
    @account_handler
    async def patch(self, context: RequestContext, account_id: str) -> Response:
        """Set some limits; null returns to the configuration's."""
        _require_ancestor(context, account_id)
        current = _to_document(await self.webhooks.limits(account_id))
        return await self._write(account_id, current | context.data)

    @route("DELETE", _PATH)
    @account_handler
    async def delete(self, context: RequestContext, account_id: str) -> Response:
        """Return to the configuration's limits; answers with the limits as they were."""
        _require_ancestor(context, account_id)
        limits = await self.webhooks.limits(account_id)
        await self.webhooks.set_limits(account_id, AccountLimits())
        return Response(_to_document(limits))

    async def _write(self, account_id: str, data: Mapping[str, Any]) -> Response:
        limits = parse_limits(data)
        await self.webhooks.set_limits(account_id, limits)
        return Response(_to_document(limits))


def parse_limits(data: Mapping[str, Any]) -> AccountLimits:
    """Return the limits of a document; raises a validation error with every wrong key."""
    errors: FieldErrors = {}
    for name, value in islice(data.items(), MAX_FIELDS + len(_NAMES)):
        add_errors(errors, _check_limit(name, value))
    if errors:
        raise validation_error(errors)
    return AccountLimits(**{name: to_integer(value) for name, value in data.items()})


def _check_limit(name: str, value: Any) -> FieldErrors:
    if name not in _NAMES:
        message = f"expected one of {', '.join(_NAMES)}"
        return field_error(name, "additionalProperties", message, target=_NAMES)
    if value is None:
        return {}
    number = to_integer(value)
    if number is None:
        return field_error(name, "type", "expected a whole number", target="integer", cause=value)
    if number < LIMIT_SCHEMA["minimum"]:
        return field_error(name, "minimum", target=LIMIT_SCHEMA["minimum"], cause=value)
    if number > LIMIT_SCHEMA["maximum"]:
        return field_error(name, "maximum", target=LIMIT_SCHEMA["maximum"], cause=value)
    return {}


def _to_document(limits: AccountLimits) -> dict[str, int]:
    return {name: value for name in _NAMES if (value := getattr(limits, name)) is not None}


def _require_ancestor(context: RequestContext, account_id: str) -> None:
    principal = context.principal
    if principal is None or (principal.account_id == account_id and not principal.superadmin):
        raise forbidden()
