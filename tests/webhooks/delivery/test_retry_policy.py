from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kazoo_bridge.config import Webhooks
from kazoo_bridge.webhooks.delivery.retry_policy import RetryPolicy, retry_after
from kazoo_bridge.webhooks.http.sender import Outcome
from tests.webhooks.harness import LongestDelays
from tests.webhooks.hook_factory import make_hook

NO_ANSWER = Outcome(False, error="refused")
NOW = 1_700_000_000.0


def test_quick_retries_then_the_schedule_then_none() -> None:
    policy, hook = RetryPolicy([10, 100], random=random.Random(7)), make_hook(retries=2)
    times = [policy.next_attempt(hook, attempts, NO_ANSWER, NOW) for attempts in range(1, 6)]
    assert times[:2] == [NOW + 2, NOW + 2]
    assert times[2] is not None
    assert 0 <= times[2] - NOW <= 10
    assert times[3] is not None
    assert 0 <= times[3] - NOW <= 100
    assert times[4] is None
    assert [policy.quick_retries_left(hook, attempts) for attempts in range(1, 5)] == [2, 1, 0, 0]
    assert policy.max_attempts(hook) == 5


def test_jitter_spreads_over_the_whole_delay() -> None:
    policy, hook = RetryPolicy([100]), make_hook(retries=0)
    delays = [(policy.next_attempt(hook, 1, NO_ANSWER, NOW) or NOW) - NOW for _ in range(500)]
    assert 0 <= min(delays) < 20
    assert 80 < max(delays) <= 100


def test_after_a_fault_of_this_node_the_delay_grows_with_the_age_of_the_delivery() -> None:
    policy = RetryPolicy([10], random=random.Random(7))
    for age, longest in ((0.0, 5.0), (100.0, 100.0), (1e6, 300.0)):
        delays = [policy.delay_after_own_fault(age) for _ in range(100)]
        assert longest / 2 <= min(delays) < max(delays) <= longest


def test_configured_schedule() -> None:
    policy = RetryPolicy.from_config(Webhooks(retry_schedule_s=(7,), retry_bad_status=False))
    assert (policy.delays, policy.retry_bad_status) == ((7,), False)


def test_like_kazoo_a_bad_status_is_final() -> None:
    policy = RetryPolicy([10], retry_bad_status=False)
    assert policy.next_attempt(make_hook(), 1, Outcome(False, 500), NOW) is None
    assert policy.next_attempt(make_hook(), 1, NO_ANSWER, NOW) == NOW + 2


def test_a_receiver_can_postpone_but_not_advance_the_next_attempt() -> None:
    policy, hook = RetryPolicy([10]), make_hook(retries=1)
    for seconds, expected in (("30", 30), ("1", 2)):
        outcome = Outcome(False, 503, headers={"Retry-After": seconds})
        assert policy.next_attempt(hook, 1, outcome, NOW) == NOW + expected


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120.0),
        ("1.5", 1.5),
        ("86401", 86_400.0),
        ("9" * 20, 86_400.0),
        ("9" * 500, 86_400.0),
        ("9" * 5000, 86_400.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 86_400.0),
        ("Fri, 31 Dec 99999 23:59:59 GMT", 86_400.0),
        (" 5 ", 5.0),
        ("Tue, 14 Nov 2023 22:14:20 GMT", 60.0),
        ("Tue, 14 Nov 2000 22:14:20 GMT", 0.0),
        ("99999999", 86400.0),
        ("100000000", 86400.0),
        ("1000000000", 86400.0),
        ("-5", 0.0),
        ("1e9", 86400.0),
        ("1e999", 86400.0),
        ("٣", 0.0),
        ("²", 0.0),
        ("soon", 0.0),
        ("", 0.0),
    ],
)
def test_retry_after(text: str, seconds: float) -> None:
    assert retry_after(Outcome(False, 503, headers={"retry-AFTER": text}), NOW) == seconds


def test_without_retry_after() -> None:
    assert retry_after(Outcome(False, 503, headers={"Date": "60"}), NOW) == 0.0


@given(st.text())
def test_any_retry_after_gives_a_bounded_delay(text: str) -> None:
    assert 0 <= retry_after(Outcome(False, 503, headers={"Retry-After": text}), NOW) <= 86400


def test_a_schedule_of_the_hook_overrides_the_configured_one() -> None:
    policy = RetryPolicy([10, 100], random=LongestDelays())
    hook, none = make_hook(retries=1, retry_schedule_s=[5]), make_hook(retries=1, retry_schedule_s=[])
    assert [policy.next_attempt(hook, attempts, NO_ANSWER, NOW) for attempts in (1, 2, 3)] == [
        NOW + 2,
        NOW + 5,
        None,
    ]
    assert policy.next_attempt(none, 2, NO_ANSWER, NOW) is None
