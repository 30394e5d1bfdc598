"""The directory: accounts, their ancestors, tokens and principals, owners of numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen
from zope.interface import Interface

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred


@frozen
class Account:
    """An account; `ancestors` runs from its parent to the top of the tree."""

    id: str
    name: str
    realm: str
    ancestors: tuple[str, ...] = ()
    superadmin: bool = False

    @property
    def reseller_id(self) -> str | None:
        """The nearest ancestor, which is responsible for the account."""
        return self.ancestors[0] if self.ancestors else None


@frozen
class Principal:
    """Whoever a valid token speaks for. `expires` is in Unix seconds, None: never."""

    account_id: str
    superadmin: bool = False
    expires: float | None = None


class IDirectory(Interface):
    """Who is who, and who may do what."""

    def authenticate(token: str) -> Deferred[Principal | None]:
        """The token's principal, or None when the token is unknown, expired or revoked."""

    def login(api_key: str) -> Deferred[tuple[str, Principal] | None]:
        """A fresh token for a valid API key, with its principal; None for any other key."""

    def account(account_id: str) -> Deferred[Account | None]:
        """The account, or None when there is none of that id."""

    def ancestors(account_id: str) -> tuple[str, ...] | None:
        """The account's ancestors, parent first; None when the account is not in memory: ask `account`, then again."""

    def descendants(account_id: str) -> Deferred[frozenset[str]]:
        """The ids of all accounts below this one, at any depth."""

    def is_superadmin(account_id: str) -> bool:
        """Whether the account is a super-admin's, as far as memory knows."""

    def account_for_number(number: str) -> str | None:
        """The account that owns a telephone number (see `kazoo.plain_number`), as far as memory knows."""

    def can_act_for(principal: Principal, account_id: str) -> Deferred[bool]:
        """Whether `principal` may act for the account: itself, a descendant of it, or anybody for super-admins."""
