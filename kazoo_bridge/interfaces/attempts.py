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
    """One try at a delivery. `document` is what its account may see of it; `made` is in Unix seconds.

    `revision` is the hook's at that time; empty: the attempt does not count against the hook.
    """

    account_id: str
    hook_id: str
    revision: str
    failed: bool
    made_at: float
    document: Mapping[str, Any] = field(repr=False)


@frozen
class StoredAttempt:
    """An attempt as it is listed; `position` grows with every attempt."""

    position: int
    made_at: float
    document: Mapping[str, Any]


@frozen
class HookHealth:
    """When a hook was last successful and when it last failed, in Unix seconds (None: not yet), and how often."""

    last_success: float | None = None
    last_failure: float | None = None
    successes: int = 0
    failures: int = 0

    def merge(self, later: HookHealth) -> HookHealth:
        """This, and what came after it."""
        return HookHealth(
            self.last_success if later.last_success is None else later.last_success,
            self.last_failure if later.last_failure is None else later.last_failure,
            self.successes + later.successes,
            self.failures + later.failures,
        )


class IAttemptStore(Interface):
    """Attempts, and what they say about the health of hooks."""

    def add(made: Sequence[Attempt], health: Mapping[str, HookHealth]) -> Deferred[None]:
        """Keep these attempts, and what they add to these hooks' (by id) health."""

    def page(
        account_id: str, hook_id: str | None, before: int | None, count: int
    ) -> Deferred[list[StoredAttempt]]:
        """At most `count` attempts of the account (and hook), newest first, from below the position `before`."""

    def health(hook_ids: Collection[str]) -> Deferred[Mapping[str, HookHealth]]:
        """The health of these hooks; one that was never tried is not in it."""

    def failures(revisions: Mapping[str, str], since: float) -> Deferred[Mapping[str, int]]:
        """How often each of these hooks (id -> revision) failed since a time (Unix seconds), while it was at this revision."""

    def hooks_over_failure_limit(
        now: float, count: int, window: float
    ) -> Deferred[list[tuple[str, str, str]]]:
        """(account id, hook id, revision) of whatever failed at least `count` times in the last `window` seconds.

        An account's own limits go before these.
        """
