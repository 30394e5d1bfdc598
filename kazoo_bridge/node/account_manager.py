"""Changes accounts of the node's own storage for REST, and notifies the node's directory at once."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable
from typing import Any, TypeVar

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from zope.interface import implementer

from kazoo_bridge.directory.base import BaseDirectory
from kazoo_bridge.interfaces import (
    AccountFields,
    AccountHasDescendants,
    AccountNotLocal,
    AccountRefused,
    AccountToken,
    IAccountManager,
    IPivotStore,
)
from kazoo_bridge.storage.accounts import (
    AccountStore,
    HasSubAccounts,
    RealmInUse,
    StoreRejected,
    UnknownAccount,
)
from kazoo_bridge.storage.tokens import TokenStore

T = TypeVar("T")

_log = Logger()


@implementer(IAccountManager)
@frozen
class AccountManager:
    """See `IAccountManager`. Other nodes, hooks and sockets follow the change feed, within seconds."""

    _accounts: AccountStore
    _tokens: TokenStore
    _directory: BaseDirectory

    def create(self, parent_id: str, given: AccountFields) -> Deferred[str]:
        """See `IAccountManager`."""
        return Deferred.fromCoroutine(self._create(parent_id, given))

    def update(self, account_id: str, given: AccountFields) -> Deferred[Any]:
        """See `IAccountManager`."""
        changing = self._accounts.update(account_id, name=given.name, realm=given.realm)
        return Deferred.fromCoroutine(self._change(account_id, changing))

    def delete(self, account_id: str) -> Deferred[Any]:
        """See `IAccountManager`."""
        return Deferred.fromCoroutine(self._change(account_id, self._accounts.delete(account_id)))

    def has_api_key(self, account_id: str) -> Deferred[bool]:
        """See `IAccountManager`."""
        return Deferred.fromCoroutine(self._has_api_key(account_id))

    def renew_api_key(self, account_id: str) -> Deferred[str]:
        """See `IAccountManager`. The directory forgets the account's tokens, too."""
        return Deferred.fromCoroutine(self._change(account_id, self._tokens.renew_api_key(account_id)))

    def tokens(self, account_id: str) -> Deferred[list[AccountToken]]:
        """See `IAccountManager`."""
        return Deferred.fromCoroutine(self._list_tokens(account_id))

    def token_id(self, token: str) -> str:
        """See `IAccountManager`."""
        return self._tokens.digest(token)

    def revoke_token(self, account_id: str, token_id: str) -> Deferred[bool]:
        """See `IAccountManager`. The directory forgets the token at once."""
        return Deferred.fromCoroutine(self._revoke_token(account_id, token_id))

    async def _list_tokens(self, account_id: str) -> list[AccountToken]:
        await self._require_local(account_id)
        return await self._tokens.of_account(account_id)

    async def _revoke_token(self, account_id: str, token_id: str) -> bool:
        await self._require_local(account_id)
        if not await self._tokens.revoke_by_digest(account_id, token_id):
            return False
        following = self._directory.on_change("token", frozenset([token_id]))
        if following is not None:
            await following
        return True

    async def _create(self, parent_id: str, given: AccountFields) -> str:
        await self._require_local(parent_id)
        account_id = secrets.token_hex(16)
        creating = self._accounts.create(
            account_id, parent_id=parent_id, name=given.name or "", realm=given.realm or ""
        )
        await self._change(account_id, creating)
        return account_id

    async def _has_api_key(self, account_id: str) -> bool:
        await self._require_local(account_id)
        return await self._tokens.has_api_key(account_id)

    async def _require_local(self, account_id: str) -> None:
        if not await self._accounts.by_ids([account_id]):
            raise AccountNotLocal(account_id)

    async def _change(self, account_id: str, changing: Awaitable[T]) -> T:
        """Wait for the change of an account and let the directory follow it. Raises what the client reads."""
        try:
            result = await changing
        except UnknownAccount:
            raise AccountNotLocal(account_id) from None
        except HasSubAccounts as error:
            raise AccountHasDescendants(str(error)) from None
        except RealmInUse as error:
            raise AccountRefused("realm", "unique", str(error)) from None
        except StoreRejected as error:
            raise AccountRefused("account", "wrong_format", str(error)) from None
        following = self._directory.on_change("account", frozenset([account_id]))
        if following is not None:
            await following
        return result


async def follow_deletion(accounts: AccountStore, pivots: IPivotStore, account_id: str) -> None:
    """Delete an account that KAZOO has deleted. An account with sub-accounts stays, which is logged."""
    await pivots.delete_of_account(account_id)
    try:
        await accounts.delete(account_id)
    except UnknownAccount:
        pass  # accounts of other directories are not in the node's own storage
    except StoreRejected as error:
        _log.info(
            "account deleted in KAZOO stays here account_id={account_id} reason={reason}",
            account_id=account_id,
            reason=error,
        )
