from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from kazoo_bridge.interfaces import BindingRefused
from kazoo_bridge.websockets.subscriptions.subscription_budget import (
    MAX_ACCOUNTS,
    WORK_BURST,
    WORK_PER_SECOND,
    SubscribingTooFast,
    SubscriptionBudget,
)

ONE, TWO = "a" * 32, "b" * 32


def test_the_subscriptions_of_an_account_are_limited_together() -> None:
    limits = SubscriptionBudget(Clock(), 3)
    limits.count(ONE, 2)
    limits.require_room(ONE, 1)
    with pytest.raises(BindingRefused, match="an account can have at most 3 subscriptions together"):
        limits.require_room(ONE, 2)
    limits.require_room(TWO, 3)
    limits.count(ONE, -2)
    limits.require_room(ONE, 3)
    assert not limits.subscriptions


def test_an_account_at_a_limit_that_was_lowered_may_still_add_nothing() -> None:
    limits = SubscriptionBudget(Clock(), 1)
    limits.count(ONE, 2)
    limits.require_room(ONE, 0)


def test_zero_means_no_limit() -> None:
    limits = SubscriptionBudget(Clock(), 0)
    limits.count(ONE, 1_000_000)
    limits.require_room(ONE, 1_000_000)


def test_work_beyond_the_burst_must_wait_and_is_that_of_one_account() -> None:
    clock = Clock()
    clock.advance(1_000_000)
    limits = SubscriptionBudget(clock, 0)
    limits.require_pace(ONE)
    limits.charge(ONE, WORK_BURST + WORK_PER_SECOND)
    with pytest.raises(SubscribingTooFast, match=f"rate limiting threshold hit for {ONE}!"):
        limits.require_pace(ONE)
    limits.require_pace(TWO)
    clock.advance(1.1)
    limits.require_pace(ONE)


def test_the_accounts_that_are_remembered_are_bounded() -> None:
    limits = SubscriptionBudget(Clock(), 0)
    limits.charge(ONE, 10 * WORK_BURST)
    for number in range(MAX_ACCOUNTS):
        limits.charge(str(number), 1)
    limits.require_pace(ONE)
