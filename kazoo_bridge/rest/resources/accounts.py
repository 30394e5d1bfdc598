"""``/v2/accounts/{A}``, and its ``parents``, ``tree``, ``children`` and ``descendants``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from attrs import frozen

from kazoo_bridge.interfaces import Account, IDirectory
from kazoo_bridge.rest.http.authorization import account_handler
from kazoo_bridge.rest.http.errors import bad_identifier
from kazoo_bridge.rest.http.filters import Filters
from kazoo_bridge.rest.http.pagination import Paginator
from kazoo_bridge.rest.http.request_context import RequestContext, Response
from kazoo_bridge.rest.http.routing import RoutedResource, route

_ACCOUNT = "/v2/accounts/<account_id>"


@frozen
class AccountResource(RoutedResource):
    """Reads accounts and their relatives."""

    directory: IDirectory

    @route("GET", _ACCOUNT)
    @account_handler
    async def read(self, _context: RequestContext, account_id: str) -> Response:
        """Answer with the account."""
        return Response(account_to_api(await self._get_account(account_id)))

    @route("GET", f"{_ACCOUNT}/parents")
    @account_handler
    async def parents(self, context: RequestContext, account_id: str) -> Response:
        """Answer with the ancestors that the client may see, top first."""
        entries = [_name_entry(account) for account in await self._visible_ancestors(context, account_id)]
        return Response(entries, metadata={"page_size": len(entries)})

    @route("GET", f"{_ACCOUNT}/tree")
    @account_handler
    async def tree(self, context: RequestContext, account_id: str) -> Response:
        """Answer with the ancestors that the client may see, top first."""
        ancestors = await self._visible_ancestors(context, account_id)
        return Response([_name_entry(account) for account in ancestors])

    @route("GET", f"{_ACCOUNT}/children")
    @account_handler
    async def children(self, context: RequestContext, account_id: str) -> Response:
        """Answer with the accounts whose parent is the account, by name."""
        descendants = await self._descendants(account_id)
        counts = Counter(ancestor for account in descendants for ancestor in account.ancestors)
        return _make_page(
            context,
            [
                _list_entry(account) | {"descendants_count": counts[account.id]}
                for account in descendants
                if account.ancestors[:1] == (account_id,)
            ],
        )

    @route("GET", f"{_ACCOUNT}/descendants")
    @account_handler
    async def descendants(self, context: RequestContext, account_id: str) -> Response:
        """Answer with all accounts below the account, by name."""
        return _make_page(
            context,
            [
                _list_entry(account) | {"tree": list(account.ancestors[::-1])}
                for account in await self._descendants(account_id)
            ],
        )

    async def _visible_ancestors(self, context: RequestContext, account_id: str) -> list[Account]:
        """Return the ancestors from the client's own account down; from the top for super-admins."""
        ancestors = (await self._get_account(account_id)).ancestors[::-1]
        own = _own_account(context)
        if own in ancestors:
            ancestors = ancestors[ancestors.index(own) :]
        elif not context.is_superadmin:
            ancestors = ()
        return await self._existing(ancestors)

    async def _get_account(self, account_id: str) -> Account:
        account = await self.directory.account(account_id)
        if account is None:
            raise bad_identifier(account_id)
        return account

    async def _descendants(self, account_id: str) -> list[Account]:
        descendants = await self._existing(await self.directory.descendants(account_id))
        return sorted(descendants, key=lambda account: (account.name, account.id))

    async def _existing(self, account_ids: Iterable[str]) -> list[Account]:
        accounts = [await self.directory.account(account_id) for account_id in account_ids]
        return [account for account in accounts if account is not None]


def _own_account(context: RequestContext) -> str | None:
    return None if context.principal is None else context.principal.account_id


def _name_entry(account: Account) -> dict[str, Any]:
    return {"id": account.id, "name": account.name}


def _list_entry(account: Account) -> dict[str, Any]:
    return {"id": account.id, "name": account.name, "realm": account.realm}


def account_to_api(account: Account) -> dict[str, Any]:
    """Return an account as REST shows it."""
    flags = {
        "enabled": account.enabled,
        "is_reseller": account.is_reseller,
        "superduper_admin": account.superadmin,
    }
    reseller = {} if account.reseller_id is None else {"reseller_id": account.reseller_id}
    return _list_entry(account) | flags | reseller


def _make_page(context: RequestContext, entries: list[dict[str, Any]]) -> Response:
    filters = Filters.parse(context.query)
    paginator = Paginator.from_query(context.query, context.path, context.max_page_bytes)
    accepted = [entry for entry in entries if filters.accepts(entry)]
    page = paginator.from_list(
        accepted,
        position=lambda entry: str(entry["name"]),
        identity=lambda entry: str(entry["id"]),
        show=lambda entry: entry,
    )
    return Response(page.items, metadata=page.metadata())
