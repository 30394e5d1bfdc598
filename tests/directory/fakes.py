"""What account stores return, for the directory; and a directory in memory, for the chain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import frozen
from twisted.internet.defer import Deferred, fail, succeed

from kazoo_bridge.directory.base import BaseDirectory
from kazoo_bridge.interfaces import Account, Principal, StorageUnavailable, Topic, UserLogin
from kazoo_bridge.kazoo import Event

T = TypeVar("T")


@frozen
class FakeAccountRow:
    """An account as a store returns it."""

    id: str
    parent_id: str | None = None
    name: str = ""
    realm: str = ""
    superadmin: bool = False
    enabled: bool = True


class FakeDirectory(BaseDirectory):
    """Accounts, tokens and numbers in memory. While `unavailable`, what is asynchronous fails."""

    def __init__(self, *accounts: Account) -> None:
        self.accounts = {account.id: account for account in accounts}
        self.tokens: dict[str, Principal] = {}
        self.keys: dict[str, tuple[str, Principal]] = {}
        #: Logins by the credentials of users.
        self.users: dict[str, UserLogin] = {}
        self.numbers: dict[str, str] = {}
        #: The owners that `look_up_number` finds.
        self.remote_numbers: dict[str, str] = {}
        self.unavailable = False
        self.revision = 0
        self.loaded = 0
        self.closed = False
        self.changes: list[str] = []
        self.problems: list[str] = []
        self.topics: frozenset[Topic] = frozenset()
        #: The messages of KAZOO's; None: some may have been missed.
        self.messages: list[Event | None] = []

    @property
    def configuration_topics(self) -> frozenset[Topic]:
        return self.topics

    def on_configuration_event(self, event: Event) -> None:
        self.messages.append(event)

    def on_configuration_missed(self) -> None:
        self.messages.append(None)

    @property
    def rights_revision(self) -> int:
        return self.revision

    async def close(self) -> None:
        self.closed = True

    async def load(self) -> None:
        self.loaded += 1

    def on_change(self, kind: str, subjects: frozenset[str]) -> Deferred[None] | None:
        self.changes.append(kind)
        return self._answer(None)

    def problem(self) -> str | None:
        return self.problems[0] if self.problems else None

    def degraded(self) -> list[str]:
        return self.problems[1:]

    def authenticate(self, token: str) -> Deferred[Principal | None]:
        return self._answer(self.tokens.get(token))

    def login(self, api_key: str) -> Deferred[tuple[str, Principal] | None]:
        return self._answer(self.keys.get(api_key))

    def log_in_user(self, credentials: Mapping[str, Any]) -> Deferred[UserLogin | None]:
        return self._answer(self.users.get(credentials["credentials"]))

    def log_out(self, token: str) -> Deferred[bool]:
        return self._answer(self.tokens.pop(token, None) is not None)

    def account(self, account_id: str) -> Deferred[Account | None]:
        return self._answer(self.accounts.get(account_id))

    def ancestors(self, account_id: str) -> tuple[str, ...] | None:
        account = self.accounts.get(account_id)
        return None if account is None else account.ancestors

    def descendants(self, account_id: str) -> Deferred[frozenset[str]]:
        below = [account.id for account in self.accounts.values() if account_id in account.ancestors]
        return self._answer(frozenset(below))

    def is_superadmin(self, account_id: str) -> bool:
        account = self.accounts.get(account_id)
        return account is not None and account.superadmin

    def account_for_number(self, number: str) -> str | None:
        return self.numbers.get(number)

    def look_up_number(self, number: str) -> Deferred[None] | None:
        if number not in self.remote_numbers:
            return None
        self.numbers[number] = self.remote_numbers[number]
        return self._answer(None)

    def _answer(self, answer: T) -> Deferred[T]:
        return fail(StorageUnavailable("away")) if self.unavailable else succeed(answer)
