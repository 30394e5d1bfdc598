from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kazoo_bridge.webhooks.delivery.retry_policy import RetryPolicy, retry_after
from kazoo_bridge.webhooks.http.sender import Outcome
from tests.webhooks.hook_factory import make_hook

NO_ANSWER = Outcome(False, error="refused")
NOW = 1_700_000_000.0


def test_quick_ones_first_then_the_schedule_then_nothing() -> None:
    schedule, hook = RetryPolicy([10, 100], random=random.Random(7)), make_hook(retries=2)
    waits = [schedule.next_attempt(hook, tries, NO_ANSWER, NOW) for tries in range(1, 6)]
    assert waits[:2] == [NOW + 2, NOW + 2]
    assert waits[2] is not None
    assert 0 <= waits[2] - NOW <= 10
    assert waits[3] is not None
    assert 0 <= waits[3] - NOW <= 100
    assert waits[4] is None
    assert [schedule.quick_retries_left(hook, tries) for tries in range(1, 5)] == [2, 1, 0, 0]


def test_jitter_spreads_over_the_whole_wait() -> None:
    schedule, hook = RetryPolicy([100]), make_hook(retries=0)
    waits = [(schedule.next_attempt(hook, 1, NO_ANSWER, NOW) or NOW) - NOW for _ in range(500)]
    assert min(waits) < 20
    assert max(waits) > 80


def test_kazoos_way() -> None:
    schedule = RetryPolicy([10], retry_bad_status=False)
    assert schedule.next_attempt(make_hook(), 1, Outcome(False, 500), NOW) is None
    assert schedule.next_attempt(make_hook(), 1, NO_ANSWER, NOW) == NOW + 2


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120.0),
        (" 5 ", 5.0),
        ("Tue, 14 Nov 2023 22:14:20 GMT", 60.0),
        ("Tue, 14 Nov 2000 22:14:20 GMT", 0.0),
        ("99999999", 86400.0),
        ("-5", 0.0),
        ("1e9", 0.0),
        ("٣", 0.0),
        ("soon", 0.0),
        ("", 0.0),
    ],
)
def test_what_receivers_ask_for(text: str, seconds: float) -> None:
    assert retry_after(Outcome(False, 503, headers={"retry-AFTER": text}), NOW) == seconds


@given(st.text())
def test_no_header_does_harm(text: str) -> None:
    assert 0 <= retry_after(Outcome(False, 503, headers={"Retry-After": text}), NOW) <= 86400
