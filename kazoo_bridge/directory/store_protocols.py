"""What the local directory reads from: the shape of the storage's rows and stores, so that neither room imports the other."""

from __future__ import annotations

from collections.abc import Awaitable, Collection, Mapping, Sequence
from typing import Protocol


class AccountRow(Protocol):
    """An account as it is kept."""

    @property
    def id(self) -> str:
        """32 hexadecimal characters."""

    @property
    def parent_id(self) -> str | None:
        """The account above; None at the top."""

    @property
    def name(self) -> str:
        """For people."""

    @property
    def realm(self) -> str:
        """The SIP realm, or an empty string."""

    @property
    def superadmin(self) -> bool:
        """Whether it may act for every account."""


class TokenRow(Protocol):
    """A token as it is kept, or as it is issued."""

    @property
    def account_id(self) -> str:
        """Whom it speaks for."""

    @property
    def expires(self) -> float | None:
        """Unix seconds; None: never."""


class IssuedTokenRow(TokenRow, Protocol):
    """A token just made."""

    @property
    def token(self) -> str:
        """The secret itself."""


class AccountSource(Protocol):
    """Where accounts are kept."""

    def all(self) -> Awaitable[Sequence[AccountRow]]:
        """Every account."""

    def by_ids(self, account_ids: Collection[str]) -> Awaitable[Sequence[AccountRow]]:
        """Those of these ids that exist."""


class NumberSource(Protocol):
    """Where it is kept whose the telephone numbers are."""

    def all(self) -> Awaitable[Mapping[str, str]]:
        """Every number and its owner."""

    def owners(self, numbers: Collection[str]) -> Awaitable[Mapping[str, str]]:
        """Those of these numbers that have an owner, with it."""


class TokenSource(Protocol):
    """Where tokens and API keys are kept, by SHA-256 in hexadecimal."""

    def create(self, account_id: str, ttl: float | None = None) -> Awaitable[IssuedTokenRow]:
        """A fresh token, valid for `ttl` seconds."""

    def lookup(self, digest: str) -> Awaitable[TokenRow | None]:
        """The token, unless it has expired."""

    def account_of_api_key(self, digest: str) -> Awaitable[str | None]:
        """The account whose API key this is."""
