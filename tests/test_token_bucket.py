from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from kazoo_bridge.token_bucket import KeyedTokenBuckets, TokenBucket


def test_a_full_bucket_allows_a_burst() -> None:
    bucket = TokenBucket(burst=3, refill_interval=10.0)
    assert [bucket.take(1000.0) for _ in range(4)] == [True, True, True, False]


def test_one_token_returns_per_interval() -> None:
    bucket = TokenBucket(burst=1, refill_interval=0.5)
    assert bucket.take(0.0)
    assert not bucket.take(0.25)
    assert bucket.take(0.5)
    assert not bucket.take(0.75)


def test_no_more_than_a_burst_accumulates() -> None:
    bucket = TokenBucket(burst=2, refill_interval=1.0)
    bucket.take(0.0)
    assert [bucket.take(100.0) for _ in range(3)] == [True, True, False]


def test_a_clock_that_runs_backwards_takes_no_tokens_away() -> None:
    bucket = TokenBucket(burst=2, refill_interval=1.0)
    assert bucket.take(50.0)
    assert bucket.take(10.0)
    assert not bucket.take(10.0)


def test_a_returned_token_can_be_taken_and_does_not_exceed_the_burst() -> None:
    bucket = TokenBucket(burst=1, refill_interval=10.0)
    assert bucket.take(0.0)
    bucket.give_back()
    bucket.give_back()
    assert [bucket.take(0.0) for _ in range(2)] == [True, False]


def test_the_wait_time_is_the_rest_of_an_interval() -> None:
    bucket = TokenBucket(burst=1, refill_interval=10.0)
    assert bucket.wait_time == 0.0
    assert bucket.take(0.0)
    assert not bucket.take(4.0)
    assert bucket.wait_time == pytest.approx(6.0)
    assert bucket.take(10.0)


def test_a_charge_goes_into_a_debt_of_at_most_one_burst() -> None:
    bucket = TokenBucket(burst=4, refill_interval=1.0)
    bucket.charge(1000.0, now=10.0)
    assert not bucket.take(14.9)
    assert bucket.wait_time == pytest.approx(0.1)
    assert bucket.has_token(15.0)
    assert bucket.take(15.0)
    assert not bucket.has_token(15.0)


def test_each_key_has_a_bucket_of_its_own() -> None:
    clock = Clock()
    buckets = KeyedTokenBuckets(clock, burst=2, refill_interval=2.5)
    assert [buckets.take("a") for _ in range(3)] == [0, 0, 3]
    assert buckets.take("b") == 0
    buckets.give_back("a")
    buckets.give_back("unknown")
    assert [buckets.take("a") for _ in range(2)] == [0, 3]
    clock.advance(2)
    assert buckets.take("a") == 1


def test_what_costs_more_than_a_token_goes_into_debt() -> None:
    clock = Clock()
    buckets = KeyedTokenBuckets(clock, burst=5, refill_interval=1.0)
    assert [buckets.take("a", 4) for _ in range(3)] == [0, 0, 4]
    clock.advance(4)
    assert [buckets.take("a") for _ in range(2)] == [0, 1]


def test_the_bucket_that_was_used_longest_ago_is_forgotten() -> None:
    buckets = KeyedTokenBuckets(Clock(), burst=1, refill_interval=10.0, max_keys=2)
    for key in ("a", "b", "a", "c"):
        buckets.take(key)
    assert len(buckets) == 2
    assert buckets.find("b") is None
    assert [buckets.take(key) for key in "ac"] == [10, 10]
    assert buckets.take("b") == 0


def test_another_rate_applies_to_buckets_that_are_kept() -> None:
    clock = Clock()
    buckets = KeyedTokenBuckets(clock, 2, 1.0)
    assert [buckets.take("a") for _ in range(3)] == [0, 0, 1]
    buckets.change_rate(5, 0.1)
    clock.advance(0.5)
    assert [buckets.take("a") for _ in range(6)] == [0] * 5 + [1]
    assert [buckets.take("b") for _ in range(6)] == [0] * 5 + [1]
