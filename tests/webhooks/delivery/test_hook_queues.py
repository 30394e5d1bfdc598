from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kazoo_bridge.webhooks.delivery.hook_queues import CIRCUIT_FAILURES, HookQueue, LeastLoadedQueue


def make_queue(**loads: int) -> LeastLoadedQueue[str]:
    queue: LeastLoadedQueue[str] = LeastLoadedQueue()
    for key, load in loads.items():
        queue.put(key, key, load)
    return queue


def test_the_least_loaded_item_is_first() -> None:
    assert make_queue(a=2, b=1, c=3).first() == "b"
    assert make_queue().first() is None


def test_of_equal_loads_the_item_that_has_waited_longest_is_first() -> None:
    queue = make_queue(a=1, b=1)
    queue.put("a", "a", 1)
    assert queue.first() == "a"
    queue.put("a", "a", 2)
    queue.put("a", "a", 1)
    assert queue.first() == "b"


def test_a_removed_item_is_gone() -> None:
    queue = make_queue(a=1, b=2)
    queue.remove("a")
    queue.remove("unknown")
    assert (queue.first(), len(queue.loads)) == ("b", 1)
    queue.remove("b")
    assert (queue.first(), len(queue.loads)) == (None, 0)


@given(
    st.lists(st.tuples(st.sampled_from("abcde"), st.one_of(st.none(), st.integers(min_value=0, max_value=5))))
)
def test_like_a_sorted_list(changes: list[tuple[str, int | None]]) -> None:
    queue, model = make_queue(), dict[str, int]()
    for key, load in changes:
        if load is None:
            queue.remove(key)
            model.pop(key, None)
        elif model.get(key) != load:
            queue.put(key, key, load)
            model.pop(key, None)
            model[key] = load
        else:
            queue.put(key, key, load)
        assert len(queue.loads) == len(model)
        assert queue.first() == min(model, key=lambda name: model[name], default=None)


def test_circuit_opens_with_the_last_failure_of_several() -> None:
    queue = HookQueue("h", "a", failures=CIRCUIT_FAILURES - 1)
    assert not queue.circuit_open
    queue.failures += 1
    assert queue.circuit_open


def test_a_queue_with_state_is_not_idle() -> None:
    assert HookQueue("h", "a").idle
    assert not HookQueue("h", "a", in_flight=1).idle
    assert not HookQueue("h", "a", failures=1).idle


def test_the_limit_follows_the_circuit_and_the_recovery() -> None:
    queue = HookQueue("h", "a")
    assert queue.limit(4) == 4
    queue.ceiling = 2
    queue.note_result(True, 1.0, None, 4)
    assert queue.limit(4) == 3
    queue.note_result(False, 2.0, None, 4)
    assert (queue.limit(4), queue.failures, queue.progressed) == (1, 1, 2.0)
    queue.failures = CIRCUIT_FAILURES
    assert queue.limit(4) == 1


def test_the_duration_is_a_mean_of_the_latest_requests() -> None:
    queue = HookQueue("h", "a")
    queue.note_result(True, 1.0, 2.0, 4)
    assert queue.duration == 2.0
    queue.note_result(True, 1.0, 1.0, 4)
    assert queue.duration == pytest.approx(1.9)
    queue.note_result(True, 1.0, None, 4)
    assert queue.duration == pytest.approx(1.9)
