"""Creating, changing and deleting accounts of the node's own storage, and their API keys.

Paths, documents and words are those of ``applications/crossbar/src/modules/cb_accounts.erl`` in
``2600hz/kazoo``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from attrs import frozen

from kazoo_bridge.interfaces import Account, AccountFields, IAccountManager, IDirectory, Principal
from kazoo_bridge.rest.http.authorization import account_handler, open_handler
from kazoo_bridge.rest.http.errors import (
    bad_identifier,
    forbidden,
    invalid_credentials,
    invalid_field,
    restricted,
    validation_error,
)
from kazoo_bridge.rest.http.request_context import RequestContext, Response
from kazoo_bridge.rest.http.routing import RoutedResource, route
from kazoo_bridge.rest.resources.accounts import account_to_api
from kazoo_bridge.schema_errors import FieldErrors, add_errors, field_error

#: Characters of a name and a realm.
MAX_NAME, MAX_REALM = 128, 253

#: Accounts below the account of a client that is no super-admin, and levels of accounts.
MAX_DESCENDANTS, MAX_DEPTH = 10_000, 32

_REALM = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*")

_ACCOUNTS = "/v2/accounts"
_ACCOUNT = f"{_ACCOUNTS}/<account_id>"


@frozen
class AccountChangeResource(RoutedResource):
    """Changes of accounts. An account may change itself and those below, and delete those below."""

    directory: IDirectory
    accounts: IAccountManager

    @route("PUT", _ACCOUNTS)
    @open_handler
    async def create_below_own(self, context: RequestContext) -> Response:
        """Create an account below the token's."""
        await context.authenticate(self.directory)
        own = _principal(context).account_id
        await context.authorize(self.directory, own)
        return await self._create(context, own)

    @route("PUT", _ACCOUNT)
    @account_handler
    async def create(self, context: RequestContext, account_id: str) -> Response:
        """Create an account below this one."""
        return await self._create(context, account_id)

    @route("POST", _ACCOUNT)
    @account_handler
    async def replace(self, context: RequestContext, account_id: str) -> Response:
        """Change the account. Like in KAZOO, an account without a realm keeps the one that it has."""
        await self._update(context, account_id, parse_account(context.data))
        return Response(account_to_api(await self._read(account_id)))

    @route("PATCH", _ACCOUNT)
    @account_handler
    async def patch(self, context: RequestContext, account_id: str) -> Response:
        """Change what is given."""
        await self._update(context, account_id, parse_account(context.data, partial=True))
        return Response(account_to_api(await self._read(account_id)))

    @route("DELETE", _ACCOUNT)
    @account_handler
    async def delete(self, context: RequestContext, account_id: str) -> Response:
        """Delete an account without accounts below; answers with the account as it was."""
        account = await self._read(account_id)
        if account_id == _principal(context).account_id or account.superadmin:
            raise forbidden()
        await self.accounts.delete(account_id)
        return Response(account_to_api(account))

    @route("GET", f"{_ACCOUNT}/api_key")
    @account_handler
    async def read_api_key(self, _context: RequestContext, account_id: str) -> Response:
        """Answer whether the account has an API key; the key itself is not stored."""
        return Response({"has_api_key": await self.accounts.has_api_key(account_id)})

    @route("PUT", f"{_ACCOUNT}/api_key")
    @account_handler
    async def renew_api_key(self, context: RequestContext, account_id: str) -> Response:
        """Answer with a new API key; former ones end. Only super-admins get that of a super-admin.

        A restricted token gets none, since the tokens of an API key are not restricted.
        """
        if _principal(context).restrictions is not None:
            raise restricted()
        if (await self._read(account_id)).superadmin and not _principal(context).superadmin:
            raise forbidden()
        return Response({"api_key": await self.accounts.renew_api_key(account_id)}, 201)

    async def _create(self, context: RequestContext, parent_id: str) -> Response:
        given = parse_account(context.data)
        principal, parent = _principal(context), await self._read(parent_id)
        if len(parent.ancestors) + 2 > MAX_DEPTH:
            message = f"accounts have at most {MAX_DEPTH} levels"
            raise invalid_field("account", "maxItems", message, target=MAX_DEPTH)
        if not principal.superadmin:
            below = await self.directory.descendants(principal.account_id)
            if len(below) >= MAX_DESCENDANTS:
                message = f"there are {MAX_DESCENDANTS} accounts below yours: ask the operator for more"
                raise invalid_field("account", "maxItems", message, target=MAX_DESCENDANTS)
        await self._require_realm(context, given.realm)
        account_id = await self.accounts.create(parent_id, given)
        return Response(account_to_api(await self._read(account_id)), 201)

    async def _update(self, context: RequestContext, account_id: str, given: AccountFields) -> None:
        if given.realm != (await self._read(account_id)).realm:
            await self._require_realm(context, given.realm)
        await self.accounts.update(account_id, given)

    async def _require_realm(self, context: RequestContext, realm: str | None) -> None:
        """Check that the client may choose a realm: a super-admin any, others one below their own.

        An account sees the presence of its realm. The realms of KAZOO's other accounts are not known here.
        """
        principal = _principal(context)
        if not realm or principal.superadmin:
            return
        own = (await self._read(principal.account_id)).realm
        if not own or not realm.endswith(f".{own}"):
            below = f"one below {own}, or none" if own else "none"
            message = f"expected {below}: only super-admins choose any realm"
            raise invalid_field("realm", "forbidden", message, cause=realm)

    async def _read(self, account_id: str) -> Account:
        account = await self.directory.account(account_id)
        if account is None:
            raise bad_identifier(account_id)
        return account


def parse_account(data: Mapping[str, Any], *, partial: bool = False) -> AccountFields:
    """Return the fields of a document; keys that the node's storage does not have are left out.

    `partial`: the name may be missing. Raises a validation error with every wrong key.
    """
    errors: FieldErrors = {}
    name, realm = data.get("name"), data.get("realm")
    if name is None and not partial:
        add_errors(errors, field_error("name", "required"))
    add_errors(errors, _check_text("name", name, MAX_NAME))
    add_errors(errors, _check_text("realm", realm, MAX_REALM))
    if isinstance(name, str) and not name.isprintable():
        add_errors(errors, field_error("name", "wrong_format", "expected printable characters"))
    if isinstance(realm, str) and realm and _REALM.fullmatch(realm.lower()) is None:
        message = "expected a domain name, such as pbx.example.com"
        add_errors(errors, field_error("realm", "wrong_format", message, cause=realm[:MAX_REALM]))
    if data.get("enabled", True) is not True:
        message = "accounts cannot be disabled here: delete the account, or revoke its tokens"
        add_errors(errors, field_error("enabled", "enum", message, target=[True]))
    if errors:
        raise validation_error(errors)
    return AccountFields(name, realm.lower() if realm else None)


def _check_text(field: str, value: Any, longest: int) -> FieldErrors:
    if value is None:
        return {}
    if not isinstance(value, str):
        return field_error(field, "type", target="string", cause=value)
    if not value and field == "name":
        return field_error(field, "minLength", target=1, cause=value)
    if len(value) > longest:
        return field_error(field, "maxLength", target=longest)
    return {}


def _principal(context: RequestContext) -> Principal:
    if context.principal is None:
        raise invalid_credentials()
    return context.principal
