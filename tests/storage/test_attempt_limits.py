from __future__ import annotations

import pytest

from kazoo_bridge.interfaces import Attempt
from kazoo_bridge.storage import attempt_limits
from kazoo_bridge.storage.attempt_limits import AttemptLimits, Excess
from tests.storage.record_factories import ONE, TWO, A


def made(hook_id: str = ONE, count: int = 1) -> list[Attempt]:
    return [Attempt(A, hook_id, "1-x", True, 0.0, {})] * count


def test_the_first_attempt_and_every_tenth_of_a_limit_reduce() -> None:
    limits = AttemptLimits(per_hook=100, per_account=200)
    of_hook, of_account = Excess("hook_id", ONE, 100), Excess("account_id", A, 200)
    assert limits.count(made()) == [of_hook, of_account]
    assert [limits.count(made()) for _ in range(9)] == [[]] * 9
    assert limits.count(made()) == [of_hook]
    assert limits.count(made(count=9)) == []
    assert limits.count(made()) == [of_hook, of_account]


def test_hooks_are_counted_by_themselves() -> None:
    limits = AttemptLimits(per_hook=100, per_account=1000)
    limits.count(made(ONE))
    limits.count(made(TWO))
    assert limits.count(made(ONE, 9)) == []
    assert limits.count(made(TWO, 10)) == [Excess("hook_id", TWO, 100)]


def test_the_counts_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempt_limits, "_MAX_COUNTED", 10)
    limits = AttemptLimits(per_hook=100, per_account=1000)
    for number in range(50):
        limits.count(made(str(number)))
        assert len(limits._counts) <= 10
