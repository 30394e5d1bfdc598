"""Hooks and the limits of accounts, as they are stored."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from attrs import field, frozen
from zope.interface import Interface

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred


@frozen
class Secret:
    """What a hook's requests are signed with, ``whsec_…``. `expires` is in Unix seconds, None: never."""

    value: str = field(repr=False)
    expires: float | None = None


@frozen
class StoredHook:
    """A hook document as it is kept. `revision` changes with every write, `document` is the public JSON object.

    `secrets` are no part of the document and are shown to nobody; the newest comes first.
    """

    id: str
    account_id: str
    document: Mapping[str, Any]
    revision: str
    created: int
    modified: int
    secrets: tuple[Secret, ...] = field(default=(), repr=False)


class RevisionConflict(Exception):
    """The document is no longer at the revision the caller has read."""


class TooManyHooks(Exception):
    """The account has `limit` hooks, and may have no more."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"an account may have {limit} hooks")
        self.limit = limit


class IHookStore(Interface):
    """Hook documents, by account and id."""

    def all() -> Deferred[list[StoredHook]]:
        """Every hook."""

    def by_ids(hook_ids: Collection[str]) -> Deferred[list[StoredHook]]:
        """Those of these hooks that there are, in any order."""

    def for_account(account_id: str) -> Deferred[list[StoredHook]]:
        """The account's hooks, in the order they were created."""

    def for_accounts(account_ids: Collection[str]) -> Deferred[list[StoredHook]]:
        """The hooks of all these accounts, in any order."""

    def get(account_id: str, hook_id: str) -> Deferred[StoredHook | None]:
        """One hook."""

    def create(
        account_id: str, document: Mapping[str, Any], secrets: tuple[Secret, ...] = ()
    ) -> Deferred[StoredHook]:
        """Keep a new hook under a fresh id (32 hexadecimal characters).

        Fails with `TooManyHooks` if the account has as many as it may have, on whichever node they were created.
        """

    def replace(
        hook: StoredHook, document: Mapping[str, Any], secrets: tuple[Secret, ...] | None = None
    ) -> Deferred[StoredHook]:
        """Put `document` in the place of `hook`, and `secrets` in the place of its own (None: it keeps them).

        Fails with `RevisionConflict` if that is not the current revision.
        """

    def delete(hook: StoredHook) -> Deferred[None]:
        """Remove the hook; fails with `RevisionConflict` if it is not the current revision."""

    def delete_of_account(account_id: str) -> Deferred[int]:
        """Remove every hook of an account, which has gone; fires with how many there were."""


#: The largest value of each of an account's own limits: a week, in milliseconds.
MAX_ACCOUNT_LIMIT = 7 * 86400 * 1000


@frozen
class AccountLimits:
    """An account's own limits for its hooks; None: the configuration's."""

    attempt_failure_count: int | None = None
    attempt_failure_expiry_ms: int | None = None


class ILimitStore(Interface):
    """Accounts' own limits."""

    def get(account_id: str) -> Deferred[AccountLimits]:
        """The account's own limits."""

    def put(account_id: str, limits: AccountLimits) -> Deferred[None]:
        """Keep these in the place of those it had."""

    def shortest_expiry_ms() -> Deferred[int | None]:
        """The shortest time for which an account's own limits count a failure; None when no account has such a limit."""
