"""Accounts that REST may change: those of the node's own storage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import frozen
from zope.interface import Interface

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred


@frozen
class AccountFields:
    """What REST may change of an account. None: the field stays as it is."""

    name: str | None = None
    realm: str | None = None


@frozen
class AccountToken:
    """A token of an account, without its secret.

    `id`: a digest of the token, from which it cannot be computed. `created` and `expires`: Unix seconds;
    `expires` is None if it does not. `from_api_key`: it was made with an API key. `restricted`: it has
    restrictions.
    """

    id: str
    created: float
    expires: float | None
    from_api_key: bool
    restricted: bool


class AccountNotLocal(Exception):
    """The account, or the parent of a new one, is not in the node's own storage: only KAZOO can change it."""


class AccountHasDescendants(Exception):
    """The account cannot be deleted before the accounts below it."""


class AccountRefused(Exception):
    """The fields of an account are not valid; `field` names the wrong one, `rule` is KAZOO's word for why."""

    def __init__(self, field: str, rule: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.rule = rule


class IAccountManager(Interface):
    """Changes accounts, which the directory knows when the Deferred fires.

    All methods fail with `StorageUnavailable`, and with `AccountNotLocal`.
    """

    def create(parent_id: str, given: AccountFields) -> Deferred[str]:
        """Create an account below another one; fires with its id. Fails with `AccountRefused`."""

    def update(account_id: str, given: AccountFields) -> Deferred[Any]:
        """Change an account. Fails with `AccountRefused`."""

    def delete(account_id: str) -> Deferred[Any]:
        """Delete an account with its hooks, numbers, tokens and API keys; its sockets are closed soon.

        Fails with `AccountHasDescendants`.
        """

    def has_api_key(account_id: str) -> Deferred[bool]:
        """Return True if the account has an API key."""

    def renew_api_key(account_id: str) -> Deferred[str]:
        """Create an API key; those that the account had end, with the tokens that were created with them."""

    def tokens(account_id: str) -> Deferred[list[AccountToken]]:
        """Return the valid tokens of the account, newest first; of very many the newest."""

    def token_id(token: str) -> str:
        """Return the id under which a token is listed."""

    def revoke_token(account_id: str, token_id: str) -> Deferred[bool]:
        """End a token of the account, also on open sockets; fires with False if the account has no such."""
