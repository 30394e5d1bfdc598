from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kazoo_bridge.webhooks.egress.timeouts import Timeouts


def test_items_expire_at_their_deadline() -> None:
    timeouts = Timeouts[str]()
    timeouts.add("slow", 30.0, 100.0)
    timeouts.add("fast", 5.0, 101.0)
    timeouts.add("later", 5.0, 102.0)
    assert timeouts.expire(105.9) == []
    assert timeouts.expire(106.0) == ["fast"]
    assert timeouts.expire(130.0) == ["later", "slow"] or timeouts.expire(130.0) == []
    assert not timeouts


def test_removed_items_do_not_expire() -> None:
    timeouts = Timeouts[str]()
    timeouts.add("a", 5.0, 0.0)
    assert timeouts
    timeouts.remove("a", 5.0)
    timeouts.remove("a", 5.0)
    timeouts.remove("b", 7.0)
    assert not timeouts
    assert timeouts.expire(1000.0) == []


def test_unused_time_outs_take_no_memory() -> None:
    timeouts = Timeouts[int]()
    for number in range(1000):
        timeouts.add(number, 1.0 + number, 0.0)
        timeouts.remove(number, 1.0 + number)
    timeouts.expire(0.0)
    assert timeouts._by_timeout == {}


@given(
    st.lists(st.tuples(st.sampled_from([0.1, 1.0, 5.0]), st.floats(0, 1), st.booleans()), max_size=50),
)
def test_each_item_expires_once_and_in_time(items: list[tuple[float, float, bool]]) -> None:
    timeouts, now, deadlines, seen = Timeouts[int](), 0.0, dict[int, float](), dict[int, float]()
    for number, (timeout, pause, is_kept) in enumerate(items):
        timeouts.add(number, timeout, now)
        if is_kept:
            deadlines[number] = now + timeout
        else:
            timeouts.remove(number, timeout)
        before, now = now, now + pause
        for one in timeouts.expire(now):
            seen[one] = now
            assert before <= deadlines[one] <= now or deadlines[one] <= now
    for one in timeouts.expire(now + 10):
        seen[one] = now + 10
    assert seen.keys() == deadlines.keys()
    assert all(seen[one] >= deadline for one, deadline in deadlines.items())
