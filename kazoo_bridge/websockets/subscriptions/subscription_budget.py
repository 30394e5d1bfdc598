"""What the clients of one account may cost this node by subscribing, over all their sockets."""

from __future__ import annotations

from collections import Counter

from attrs import define, field
from twisted.internet.interfaces import IReactorTime

from kazoo_bridge.interfaces import BindingRefused
from kazoo_bridge.token_bucket import KeyedTokenBuckets

#: Work of one account at once after a pause, and per second: a subscription that begins or ends is one unit.
WORK_BURST = 30_000
WORK_PER_SECOND = 1_500

#: Units of a topic that the broker must bind, and later unbind.
WORK_PER_TOPIC = 2

#: Units of one client that count as one of its messages.
WORK_PER_MESSAGE = 200

#: Accounts whose latest work is remembered; the one that was idle for longest is forgotten first.
MAX_ACCOUNTS = 10_000


class SubscribingTooFast(BindingRefused):
    """The account's clients have subscribed and unsubscribed too much just now."""


@define(eq=False)
class SubscriptionBudget:
    """Counts subscriptions and the work that they cause, by the account of the client's token.

    `max_subscriptions` limits the subscriptions of one account (0: no limit).
    """

    _clock: IReactorTime
    max_subscriptions: int
    #: Subscriptions of each account that has some.
    subscriptions: Counter[str] = field(init=False, factory=Counter)
    _work: KeyedTokenBuckets = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._work = KeyedTokenBuckets(self._clock, WORK_BURST, 1 / WORK_PER_SECOND, MAX_ACCOUNTS)

    def require_room(self, account_id: str, added: int) -> None:
        """Require that the account may have `added` more subscriptions; raises `BindingRefused`."""
        limit = self.max_subscriptions
        if limit and added and self.subscriptions[account_id] + added > limit:
            raise BindingRefused(f"the sockets of an account can have at most {limit} subscriptions together")

    def count(self, account_id: str, change: int) -> None:
        """Count subscriptions that have begun, or with a negative `change` ended."""
        self.subscriptions[account_id] += change
        if not self.subscriptions[account_id]:
            del self.subscriptions[account_id]

    def require_pace(self, account_id: str) -> None:
        """Require that the account has not caused too much work lately; raises `SubscribingTooFast`."""
        bucket = self._work.find(account_id)
        if bucket is not None and not bucket.has_token(self._clock.seconds()):
            raise SubscribingTooFast(f"rate limiting threshold hit for {account_id}!")

    def charge(self, account_id: str, units: int) -> None:
        """Charge the account for units of work."""
        self._work.bucket(account_id).charge(units, self._clock.seconds())
