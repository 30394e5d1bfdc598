"""The stores that the local directory reads, as types: directory and storage do not import each other.

`typing.Protocol` describes what one package expects of another inside this project, and mypy alone checks
it; what a plugin or another implementation may replace is a `zope.interface` in `kazoo_bridge.interfaces`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Collection, Mapping, Sequence
from typing import Protocol


class AccountRow(Protocol):
    """An account as it is stored."""

    @property
    def id(self) -> str:
        """32 hexadecimal characters."""

    @property
    def parent_id(self) -> str | None:
        """The id of the parent account; None at the top of the tree."""

    @property
    def name(self) -> str:
        """The display name."""

    @property
    def realm(self) -> str:
        """The SIP realm, or an empty string."""

    @property
    def superadmin(self) -> bool:
        """True if the account may act for every account."""

    @property
    def enabled(self) -> bool:
        """False if the account's own tokens are refused."""


class TokenRow(Protocol):
    """A token, stored or issued."""

    @property
    def account_id(self) -> str:
        """The id of the account that the token authenticates."""

    @property
    def expires(self) -> float | None:
        """Unix seconds; None: never."""


class StoredTokenRow(TokenRow, Protocol):
    """A token as it is stored."""

    @property
    def restrictions(self) -> str | None:
        """JSON; None: there are none."""


class IssuedTokenRow(TokenRow, Protocol):
    """A token just created."""

    @property
    def token(self) -> str:
        """The secret itself."""


class AccountSource(Protocol):
    """A store of accounts."""

    def all(self) -> Awaitable[Sequence[AccountRow]]:
        """Read every account."""

    def by_ids(self, account_ids: Collection[str]) -> Awaitable[Sequence[AccountRow]]:
        """Read the accounts with these ids; unknown ids are left out."""


class NumberSource(Protocol):
    """A store of phone numbers and the accounts that own them."""

    def all(self) -> Awaitable[Mapping[str, str]]:
        """Read every number and the id of its owner."""

    def owners(self, numbers: Collection[str], /) -> Awaitable[Mapping[str, str]]:
        """Read the owners of these numbers; numbers without an owner are left out."""


class TokenSource(Protocol):
    """A store of tokens and API keys, which it knows by digest only."""

    def digest(self, secret: str) -> str:
        """Return the digest under which a token or API key is stored. It reveals nothing about the secret."""

    def log_in(self, api_key_digest: str, account_id: str, ttl: float, /) -> Awaitable[IssuedTokenRow]:
        """Create a token for an API key of the account, valid for `ttl` seconds.

        The oldest tokens of that key end when it has too many.
        """

    def lookup(self, digest: str) -> Awaitable[StoredTokenRow | None]:
        """Read the token with this digest; None if it is unknown or expired."""

    def revoke(self, token: str) -> Awaitable[bool]:
        """Delete a token; returns False if it is unknown."""

    def account_for_api_key(self, digest: str) -> Awaitable[str | None]:
        """Read the id of the account whose API key has this digest; None if the key is unknown."""
