from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from kazoo_bridge.interfaces import TooManySamples
from kazoo_bridge.webhooks.attempts.sample_limits import SampleLimits


def make_limits(per_minute: int = 60) -> tuple[Clock, SampleLimits]:
    clock = Clock()
    clock.advance(1000)
    return clock, SampleLimits(clock, per_minute)


def permitted(limits: SampleLimits, account_id: str, hook_id: str) -> int:
    """How many samples are permitted at once."""
    for number in range(1000):
        try:
            limits.take(account_id, hook_id)
        except TooManySamples:
            return number
    return 1000


def test_a_hook_has_a_quarter_of_its_account() -> None:
    clock, limits = make_limits()
    assert permitted(limits, "a", "h1") == 15
    clock.advance(4)
    assert permitted(limits, "a", "h1") == 1


def test_the_hooks_of_an_account_share_its_limit() -> None:
    clock, limits = make_limits()
    assert [permitted(limits, "a", f"h{number}") for number in range(6)] == [15, 15, 15, 15, 0, 0]
    assert permitted(limits, "b", "h1") == 15
    clock.advance(1)
    assert permitted(limits, "a", "h5") == 1


def test_a_refused_sample_names_the_time_to_wait() -> None:
    _, limits = make_limits(per_minute=1)
    limits.take("a", "h1")
    with pytest.raises(TooManySamples) as refused:
        limits.take("a", "h2")
    assert refused.value.retry_after == 60


def test_what_an_account_is_refused_does_not_count_for_its_hook() -> None:
    clock, limits = make_limits(per_minute=4)
    assert [permitted(limits, "a", f"h{number}") for number in range(4)] == [1, 1, 1, 1]
    assert permitted(limits, "a", "h5") == 0
    clock.advance(15)
    assert permitted(limits, "a", "h5") == 1
