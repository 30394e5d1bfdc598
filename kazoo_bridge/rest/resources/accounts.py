"""``/v2/accounts/{A}`` and its relatives: ``parents``, ``tree``, ``children``, ``descendants``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from attrs import frozen
from klein import Klein
from klein.app import KleinRequest

from kazoo_bridge.interfaces import Account, IDirectory, Principal
from kazoo_bridge.rest.http.authorization import for_account
from kazoo_bridge.rest.http.errors import bad_identifier
from kazoo_bridge.rest.http.filters import Filters
from kazoo_bridge.rest.http.pagination import Paginator
from kazoo_bridge.rest.http.request_context import RequestContext, Response


@frozen
class AccountResource:
    """Accounts, to be read."""

    directory: IDirectory
    node: str

    async def read(self, request: KleinRequest, account_id: str) -> bytes:
        """GET: the account."""

        async def handler(_: RequestContext) -> Response:
            return Response(_full_document(await self._found(account_id)))

        return await for_account(request, self.directory, self.node, account_id, handler)

    async def parents(self, request: KleinRequest, account_id: str) -> bytes:
        """GET: those above the account, from the top down; only up to the token's own account, when that is among them."""

        async def handler(exchange: RequestContext) -> Response:
            above = (await self._found(account_id)).ancestors[::-1]
            principal = _principal(exchange)
            start = above.index(principal) if principal in above else 0
            named = [_name_entry(one) for one in await self._existing(above[start:])]
            return Response(named, more={"page_size": len(named)})

        return await for_account(request, self.directory, self.node, account_id, handler)

    async def tree(self, request: KleinRequest, account_id: str) -> bytes:
        """GET: those from the token's own account down to the account's parent; for super-admins from the top."""

        async def handler(exchange: RequestContext) -> Response:
            above = (await self._found(account_id)).ancestors[::-1]
            principal = _principal(exchange)
            start = (
                above.index(principal)
                if principal in above
                else 0
                if _is_superadmin(exchange.principal)
                else len(above)
            )
            return Response([_name_entry(one) for one in await self._existing(above[start:])])

        return await for_account(request, self.directory, self.node, account_id, handler)

    async def children(self, request: KleinRequest, account_id: str) -> bytes:
        """GET: those right below the account, by name."""

        async def handler(exchange: RequestContext) -> Response:
            below = await self._below(account_id)
            counts: dict[str, int] = {}
            for one in below:
                for ancestor in one.ancestors:
                    counts[ancestor] = counts.get(ancestor, 0) + 1
            children = [
                _list_entry(one) | {"descendants_count": counts.get(one.id, 0)}
                for one in below
                if one.ancestors[:1] == (account_id,)
            ]
            return _page(exchange, children)

        return await for_account(request, self.directory, self.node, account_id, handler)

    async def descendants(self, request: KleinRequest, account_id: str) -> bytes:
        """GET: all those below the account, by name."""

        async def handler(exchange: RequestContext) -> Response:
            return _page(
                exchange,
                [
                    _list_entry(one) | {"tree": list(one.ancestors[::-1])}
                    for one in await self._below(account_id)
                ],
            )

        return await for_account(request, self.directory, self.node, account_id, handler)

    async def _found(self, account_id: str) -> Account:
        account = await self.directory.account(account_id)
        if account is None:
            raise bad_identifier(account_id)
        return account

    async def _below(self, account_id: str) -> list[Account]:
        below = await self._existing(await self.directory.descendants(account_id))
        return sorted(below, key=lambda one: (one.name, one.id))

    async def _existing(self, account_ids: Iterable[str]) -> list[Account]:
        found = [await self.directory.account(account_id) for account_id in account_ids]
        return [account for account in found if account is not None]

    def route(self, app: Klein) -> None:
        """Put the resource on its paths."""
        account = "/v2/accounts/<account_id>"
        app.route(account, methods=["GET"])(self.read)
        app.route(f"{account}/parents", methods=["GET"])(self.parents)
        app.route(f"{account}/tree", methods=["GET"])(self.tree)
        app.route(f"{account}/children", methods=["GET"])(self.children)
        app.route(f"{account}/descendants", methods=["GET"])(self.descendants)


def _principal(exchange: RequestContext) -> str | None:
    return None if exchange.principal is None else exchange.principal.account_id


def _is_superadmin(principal: Principal | None) -> bool:
    return principal is not None and principal.superadmin


def _name_entry(account: Account) -> dict[str, Any]:
    return {"id": account.id, "name": account.name}


def _list_entry(account: Account) -> dict[str, Any]:
    return {"id": account.id, "name": account.name, "realm": account.realm}


def _full_document(account: Account) -> dict[str, Any]:
    return _list_entry(account) | (
        {"reseller_id": account.reseller_id} if account.reseller_id is not None else {}
    )


def _page(exchange: RequestContext, accounts: list[dict[str, Any]]) -> Response:
    filters, paging = Filters.parse(exchange.query), Paginator.from_query(exchange.query, exchange.path)
    wanted = [one for one in accounts if filters.accepts(one)]
    page = paging.from_list(
        wanted, position=lambda one: str(one["name"]), identity=lambda one: str(one["id"])
    )
    return Response(page.items, more=page.more())
