"""Attempts at deliveries, and the health of hooks that follows from them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attrs import field, frozen
from zope.interface import Interface

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred


@frozen
class Attempt:
    """One HTTP request that was made for a delivery.

    `account_id` and `hook_id`: the hook and its account.

    `revision`: the hook's revision at that time. Empty: the attempt does not count against the hook.

    `failed`: True if the delivery was not successful.

    `made_at`: when the attempt was made, in Unix seconds.

    `document`: what the account may see of the attempt, as REST shows it.

    `replay`: the delivery as text, for a replay; empty: it is not kept.

    `event_account_id`: the account that the event is about, the hook's own or one below it; None: unknown.
    """

    account_id: str
    hook_id: str
    revision: str
    failed: bool
    made_at: float
    document: Mapping[str, Any] = field(repr=False)
    replay: str = field(default="", repr=False)
    event_account_id: str | None = None


@frozen
class StoredAttempt:
    """An attempt as it is listed.

    `position`: the place in the list; it grows with every attempt.

    `made_at`: when the attempt was made, in Unix seconds.

    `document`: what the account may see of the attempt.

    `replay`: see `Attempt`; always empty in lists.

    `event_account_id`: see `Attempt`.
    """

    position: int
    made_at: float
    document: Mapping[str, Any]
    replay: str = field(default="", repr=False)
    event_account_id: str | None = None


@frozen
class HookHealth:
    """The results of a hook's attempts.

    `last_success` and `last_failure`: times in Unix seconds; None: there was none yet.

    `successes` and `failures`: numbers of attempts.
    """

    last_success: float | None = None
    last_failure: float | None = None
    successes: int = 0
    failures: int = 0

    def merge(self, later: HookHealth) -> HookHealth:
        """Return the health that covers the attempts of both; those of `later` are more recent."""
        return HookHealth(
            self.last_success if later.last_success is None else later.last_success,
            self.last_failure if later.last_failure is None else later.last_failure,
            self.successes + later.successes,
            self.failures + later.failures,
        )


class IAttemptStore(Interface):
    """Stores attempts, and counts what they say about the health of hooks.

    All methods fail with `StorageUnavailable`.
    """

    def add(attempts: Sequence[Attempt], health: Mapping[str, HookHealth]) -> Deferred[None]:
        """Store attempts, and merge `health` (by hook id) into what is stored of those hooks."""

    def page(
        account_id: str, hook_id: str | None, before: int | None, count: int
    ) -> Deferred[list[StoredAttempt]]:
        """List the newest attempts of an account, newest first.

        `hook_id`: only those of this hook. `before`: only those with a smaller position. `count`: the
        largest number of results; when these are large there may be fewer, but none only at the end.
        """

    def get(account_id: str, hook_id: str | None, position: int) -> Deferred[StoredAttempt | None]:
        """Return one attempt of an account (and of one hook), or None."""

    def health(hook_ids: Collection[str]) -> Deferred[Mapping[str, HookHealth]]:
        """Return the health of these hooks, by id. A hook without attempts is not in the result."""

    def failures(revisions: Mapping[str, str], since: float) -> Deferred[Mapping[str, int]]:
        """Count the failed attempts of hooks, by hook id.

        `revisions` maps hook ids to revisions; attempts at other revisions do not count. `since`: the
        beginning, in Unix seconds.
        """

    def hooks_over_failure_limit(
        now: float, count: int, window: float
    ) -> Deferred[list[tuple[str, str, str]]]:
        """Find the hooks that failed at least `count` times within the last `window` seconds.

        An account's own limits (`AccountLimits`) override `count` and `window`. `now` is in Unix
        seconds. The result contains (account id, hook id, revision).
        """
