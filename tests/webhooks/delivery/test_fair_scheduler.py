from __future__ import annotations

import gc
import weakref
from collections import Counter
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock

from kazoo_bridge.config import Webhooks
from kazoo_bridge.webhooks.delivery.fair_scheduler import FairScheduler
from kazoo_bridge.webhooks.delivery.hook_queues import AccountQueue, Slot
from kazoo_bridge.webhooks.hooks.hook import Hook
from tests.webhooks.harness import results_of
from tests.webhooks.hook_factory import make_hook

HOOKS = {(account, name): make_hook(f"{account}{name}", account * 32) for account in "abc" for name in "xyz"}

#: Seconds: longer than any of these tests lasts.
LONG = 1000.0


class Request:
    """A request for a slot, and its result."""

    def __init__(
        self, scheduler: FairScheduler, hook: Hook, timeout: float = LONG, *, granted: Slot | None = None
    ) -> None:
        self.hook = hook
        self._scheduler = scheduler
        self._results = [granted] if granted is not None else results_of(scheduler.acquire(hook, timeout))

    @property
    def waiting(self) -> bool:
        return not self._results

    @property
    def slot(self) -> Slot | None:
        return self._results[0] if self._results else None

    @property
    def granted(self) -> bool:
        return self.slot is not None

    def release(self, success: bool | None = True) -> None:
        assert self.slot is not None
        self._scheduler.release(self.slot, success)


def make_scheduler(total: int = 12, per_account: int = 3, per_hook: int = 2) -> tuple[FairScheduler, Clock]:
    clock = Clock()
    return FairScheduler(clock, total, per_account, per_hook), clock


def ask(scheduler: FairScheduler, *hooks: Hook) -> list[Request]:
    return [Request(scheduler, hook) for hook in hooks]


def granted(requests: list[Request]) -> list[bool]:
    return [request.granted for request in requests]


def open_circuit(scheduler: FairScheduler, hook: Hook) -> None:
    for _ in range(5):
        Request(scheduler, hook).release(False)


def test_limits_of_hook_and_account() -> None:
    scheduler, _ = make_scheduler()
    assert granted(ask(scheduler, *[HOOKS["a", "x"]] * 3)) == [True, True, False]
    assert granted(ask(scheduler, *[HOOKS["a", "y"]] * 2)) == [True, False]
    others = [HOOKS["b", "x"], HOOKS["b", "y"], HOOKS["b", "z"], HOOKS["c", "x"]]
    assert granted(ask(scheduler, *others)) == [True] * 4
    # Account c has two slots left and its hook x one in flight: no second one, so that another hook gets one.
    assert granted(ask(scheduler, HOOKS["c", "x"], HOOKS["c", "x"], HOOKS["c", "y"])) == [True, False, True]


def test_configured_limits() -> None:
    scheduler = FairScheduler.from_config(Clock(), Webhooks(max_requests=40, max_requests_per_hook=7))
    assert (scheduler.total, scheduler.per_account, scheduler.per_hook) == (40, 10, 7)


def test_an_account_may_send_even_with_fewer_slots_than_shares() -> None:
    scheduler = FairScheduler.from_config(Clock(), Webhooks(max_requests=1, max_requests_per_hook=1))
    assert Request(scheduler, HOOKS["a", "x"]).granted


def test_an_account_with_half_as_many_requests_as_there_are_free_slots_is_skipped() -> None:
    scheduler, _ = make_scheduler(total=12, per_account=12, per_hook=12)
    # Four in flight, eight free: exactly half.
    assert granted(ask(scheduler, *[HOOKS["a", "x"]] * 6)) == [True] * 4 + [False] * 2


def test_a_hook_with_as_many_requests_as_its_account_has_slots_left_is_skipped() -> None:
    scheduler, _ = make_scheduler(total=100, per_account=4, per_hook=4)
    assert granted(ask(scheduler, *[HOOKS["a", "x"]] * 3)) == [True, True, False]
    assert granted(ask(scheduler, HOOKS["a", "y"], HOOKS["a", "y"])) == [True, False]
    assert granted(ask(scheduler, HOOKS["a", "z"])) == [True]


def test_first_slots_of_hooks_are_granted_until_only_the_reserve_is_free() -> None:
    scheduler, _ = make_scheduler(total=16, per_account=16, per_hook=1)
    hooks = [make_hook(f"h{number}", "a" * 32) for number in range(16)]
    assert granted(ask(scheduler, *hooks)) == [True] * 14 + [False] * 2
    # The reserve is for accounts with fewer requests in flight.
    assert granted(ask(scheduler, *[HOOKS["b", "x"]] * 2)) == [True, False]


def test_accounts_take_turns() -> None:
    scheduler, _ = make_scheduler(total=1, per_account=1, per_hook=1)
    first = Request(scheduler, HOOKS["a", "x"])
    many = ask(scheduler, *[HOOKS["a", "x"]] * 100)
    late = ask(scheduler, HOOKS["b", "x"], HOOKS["c", "x"])
    first.release()
    served = []
    for _ in range(4):
        (current,) = [request for request in [*many, *late] if request.granted and request not in served]
        served.append(current)
        current.release()
    assert {request.hook.account_id[0] for request in served[:3]} == {"a", "b", "c"}


def test_the_hook_with_the_fewest_requests_comes_first() -> None:
    scheduler, _ = make_scheduler(total=16, per_account=4, per_hook=4)
    slow = ask(scheduler, *[HOOKS["a", "x"]] * 10)
    assert sum(granted(slow)) == 2  # as many as are left for its account's other hooks
    others = ask(scheduler, *(HOOKS["a", name] for name in "yzyz"))
    assert granted(others) == [True, True, False, False]
    slow[0].release()
    others[0].release()
    assert granted(others) == [True, True, True, False]
    assert sum(granted(slow)) == 2


def test_of_accounts_that_could_send_the_one_with_fewer_requests_is_next() -> None:
    scheduler, _ = make_scheduler(total=4, per_account=4, per_hook=4)
    busy = ask(scheduler, HOOKS["a", "x"], HOOKS["a", "y"], HOOKS["b", "x"], HOOKS["c", "x"])
    assert granted(busy) == [True] * 4
    waiting = ask(scheduler, HOOKS["a", "z"], HOOKS["b", "y"])
    busy[3].release()
    assert granted(waiting) == [False, True]


def test_open_circuit_allows_one_request_until_one_succeeds() -> None:
    scheduler, _ = make_scheduler()
    for _ in range(4):
        Request(scheduler, HOOKS["a", "x"]).release(False)
    assert not scheduler.circuit_open("ax")
    Request(scheduler, HOOKS["a", "x"]).release(False)
    assert scheduler.circuit_open("ax")
    assert scheduler.free_slots("ax") == 1
    probe, waiting = ask(scheduler, HOOKS["a", "x"], HOOKS["a", "x"])
    assert (probe.granted, waiting.granted) == (True, False)
    assert scheduler.free_slots("ax") == 0
    probe.release(True)
    assert granted([waiting, Request(scheduler, HOOKS["a", "x"])]) == [True, True]


def test_successes_between_failures_keep_the_circuit_closed() -> None:
    scheduler, _ = make_scheduler()
    for _ in range(3):
        for success in (False, False, False, False, True):
            Request(scheduler, HOOKS["a", "x"]).release(success)
    assert not scheduler.circuit_open("ax")


def test_a_request_that_was_not_sent_changes_no_circuit() -> None:
    scheduler, _ = make_scheduler()
    open_circuit(scheduler, HOOKS["a", "x"])
    Request(scheduler, HOOKS["a", "x"]).release(None)
    assert scheduler.circuit_open("ax")


def test_reset_closes_the_circuit_and_serves_what_waits() -> None:
    scheduler, _ = make_scheduler()
    open_circuit(scheduler, HOOKS["a", "y"])
    probe, waiting = ask(scheduler, HOOKS["a", "y"], HOOKS["a", "y"])
    assert (probe.granted, waiting.granted) == (True, False)
    scheduler.reset("ay")
    scheduler.reset("unknown")
    assert not scheduler.circuit_open("ay")
    assert waiting.granted


def test_hooks_with_open_circuit_share_half_of_the_slots() -> None:
    scheduler, _ = make_scheduler(total=20, per_account=5, per_hook=2)
    failing = [make_hook(f"dead{number}", f"{number:032d}") for number in range(30)]
    for hook in failing:
        open_circuit(scheduler, hook)
    probes = ask(scheduler, *failing)
    assert granted(probes) == [True] * 10 + [False] * 20
    assert Request(scheduler, make_hook("healthy", "f" * 32)).granted
    probes[0].release(False)
    assert granted(probes) == [True] * 11 + [False] * 19
    scheduler.reset("dead20")
    assert probes[20].granted
    probes[1].release(True)
    assert granted(probes) == [True] * 12 + [False] * 8 + [True] + [False] * 9


def test_a_single_slot_can_be_used_for_probes() -> None:
    scheduler, _ = make_scheduler(total=1, per_account=1, per_hook=1)
    open_circuit(scheduler, HOOKS["a", "x"])
    assert Request(scheduler, HOOKS["a", "x"]).granted


def test_a_probe_that_gives_up_lets_the_next_one_wait() -> None:
    scheduler, clock = make_scheduler(total=4, per_account=4, per_hook=2)
    for name in "xyz":
        open_circuit(scheduler, HOOKS["a", name])
    first, second = ask(scheduler, HOOKS["a", "x"], HOOKS["a", "y"])
    impatient = Request(scheduler, HOOKS["a", "z"], timeout=1)
    assert granted([first, second, impatient]) == [True, True, False]
    clock.advance(1)
    last = Request(scheduler, HOOKS["a", "z"])
    first.release(False)
    assert last.granted


def test_no_slot_within_the_timeout() -> None:
    scheduler, clock = make_scheduler(per_hook=1)
    first = Request(scheduler, HOOKS["a", "x"])
    late = Request(scheduler, HOOKS["a", "x"], timeout=2)
    clock.advance(1.9)
    assert late.waiting
    assert scheduler.queued == 1
    clock.advance(0.1)
    assert (late.waiting, late.slot, scheduler.queued) == (False, None, 0)
    first.release()
    assert scheduler.in_flight == 0
    assert not clock.getDelayedCalls()


def test_timeout_of_zero_does_not_wait() -> None:
    scheduler, clock = make_scheduler(per_hook=1)
    first = Request(scheduler, HOOKS["a", "x"], timeout=0)
    second = Request(scheduler, HOOKS["a", "x"], timeout=0)
    assert first.granted
    assert (second.waiting, second.slot) == (False, None)
    assert not clock.getDelayedCalls()


def test_a_slot_in_time_ends_the_timeout() -> None:
    scheduler, clock = make_scheduler(per_hook=1)
    first = Request(scheduler, HOOKS["a", "x"])
    late = Request(scheduler, HOOKS["a", "x"], timeout=2)
    first.release()
    assert late.granted
    clock.advance(5)
    assert scheduler.in_flight == 1
    assert not clock.getDelayedCalls()


def test_a_cancelled_request_gets_no_slot() -> None:
    scheduler, clock = make_scheduler(per_hook=1)
    first = Request(scheduler, HOOKS["a", "x"])
    cancelled: Deferred[Slot | None] = scheduler.acquire(HOOKS["a", "x"], 2)
    third = Request(scheduler, HOOKS["a", "x"])
    results = results_of(cancelled)
    cancelled.cancel()
    assert results[0].check(CancelledError)
    first.release(None)
    assert third.granted
    assert len(clock.getDelayedCalls()) == 0


def test_stop_waiting_ends_all_waits_but_grants_free_slots() -> None:
    scheduler, clock = make_scheduler(per_hook=1)
    running = ask(scheduler, HOOKS["a", "x"], HOOKS["b", "x"])
    waiting = ask(scheduler, HOOKS["a", "x"], HOOKS["a", "x"], HOOKS["b", "x"])
    scheduler.stop_waiting()
    assert [(request.waiting, request.slot) for request in waiting] == [(False, None)] * 3
    late = Request(scheduler, HOOKS["a", "x"])
    assert (late.waiting, late.slot) == (False, None)
    assert Request(scheduler, HOOKS["c", "x"]).granted
    assert not clock.getDelayedCalls()
    running[0].release()
    assert Request(scheduler, HOOKS["a", "x"]).granted


def test_rate_limit() -> None:
    scheduler, clock = make_scheduler(total=10, per_account=10, per_hook=10)
    hook = evolve(HOOKS["a", "x"], rate_limit=2.0)
    requests = ask(scheduler, hook, hook, hook)
    assert granted(requests) == [True, False, False]
    clock.advance(0.5)
    assert granted(requests) == [True, True, False]
    for request in requests[:2]:
        request.release()
    assert not requests[2].granted
    clock.advance(0.5)
    assert requests[2].granted
    requests[2].release()
    clock.advance(1)
    assert not clock.getDelayedCalls()


def test_rate_limit_holds_while_the_hook_is_idle() -> None:
    scheduler, clock = make_scheduler()
    hook = evolve(HOOKS["a", "x"], rate_limit=1.0)
    Request(scheduler, hook).release()
    clock.advance(0.4)
    request = Request(scheduler, hook)
    assert not request.granted
    clock.advance(0.6)
    assert request.granted
    request.release()
    clock.advance(10)
    # An idle time is not saved up.
    assert granted(ask(scheduler, hook, hook)) == [True, False]


def test_rate_limit_ends_when_the_hook_no_longer_has_one() -> None:
    scheduler, clock = make_scheduler()
    Request(scheduler, evolve(HOOKS["a", "x"], rate_limit=1.0)).release()
    clock.advance(1)
    assert granted(ask(scheduler, HOOKS["a", "x"], HOOKS["a", "x"])) == [True, True]


def test_stop_leaves_no_delayed_call() -> None:
    scheduler, clock = make_scheduler()
    ask(scheduler, *[evolve(HOOKS["a", "x"], rate_limit=1.0)] * 3)
    assert clock.getDelayedCalls()
    scheduler.stop()
    assert not clock.getDelayedCalls()


def test_load_counts_what_is_in_flight_and_what_waits() -> None:
    scheduler, _ = make_scheduler()
    assert (scheduler.load("ax"), scheduler.free_slots("ax"), scheduler.circuit_open("ax")) == (0, 2, False)
    requests = ask(scheduler, *[HOOKS["a", "x"]] * 3)
    assert (scheduler.load("ax"), scheduler.free_slots("ax")) == (3, 0)
    assert (scheduler.in_flight, scheduler.queued) == (2, 1)
    requests[0].release()
    assert (scheduler.load("ax"), scheduler.in_flight, scheduler.queued) == (2, 2, 0)
    requests[1].release()
    assert (scheduler.load("ax"), scheduler.free_slots("ax")) == (1, 1)


def test_thousands_of_requests_that_end_at_once_need_no_recursion() -> None:
    scheduler, _ = make_scheduler(total=1)
    first = Request(scheduler, HOOKS["a", "x"])
    ended = []

    def release(slot: Slot | None) -> None:
        assert slot is not None
        ended.append(slot)
        scheduler.release(slot, True)

    for _ in range(5000):
        scheduler.acquire(HOOKS["a", "x"], LONG).addCallback(release)
    first.release()
    assert len(ended) == 5000


def test_many_hanging_receivers_leave_a_slot_for_another_account() -> None:
    hooks = [make_hook(f"{account}-{name}", f"{account:032d}") for account in range(10) for name in range(10)]
    scheduler, _ = make_scheduler(total=256, per_account=64, per_hook=32)
    for hook in hooks:
        ask(scheduler, *[hook] * 50)
    assert scheduler.in_flight < 256
    assert Request(scheduler, make_hook("healthy", f"{10:032d}")).granted


def test_hanging_receivers_leave_slots_for_other_hooks_of_their_accounts() -> None:
    hooks = [make_hook(f"{account}-{name}", f"{account:032d}") for account in range(5) for name in range(2)]
    scheduler, _ = make_scheduler(total=256, per_account=64, per_hook=32)
    for hook in hooks:
        ask(scheduler, *[hook] * 50)
    healthy = [make_hook(f"{account}-healthy", f"{account:032d}") for account in range(5)]
    assert granted(ask(scheduler, *healthy)) == [True] * 5


def test_idle_hooks_are_not_remembered() -> None:
    scheduler, _ = make_scheduler()
    request = Request(scheduler, HOOKS["a", "x"])
    assert request.slot is not None
    queue = weakref.ref(request.slot.queue)
    request.release()
    del request
    gc.collect()
    assert queue() is None


def test_idle_accounts_are_not_remembered() -> None:
    scheduler, _ = make_scheduler()
    for number in range(50):
        Request(scheduler, make_hook("h", f"idle-{number}")).release()
        scheduler.take(evolve(make_hook("limited", f"idle-{number}"), rate_limit=1.0))
    gc.collect()
    remembered = [one.id for one in gc.get_objects() if isinstance(one, AccountQueue)]
    assert not [account_id for account_id in remembered if account_id.startswith("idle-")]


@pytest.mark.parametrize("key", sorted(HOOKS))
def test_the_order_of_waiting_requests_of_a_hook_is_kept(key: tuple[str, str]) -> None:
    scheduler, _ = make_scheduler(per_hook=1)
    requests = ask(scheduler, *[HOOKS[key]] * 4)
    for number, request in enumerate(requests):
        assert granted(requests) == [True] * (number + 1) + [False] * (3 - number)
        request.release()


steps = st.lists(
    st.tuples(
        st.sampled_from(["ask", "take", "end", "advance"]), st.sampled_from(sorted(HOOKS)), st.booleans()
    ),
    max_size=200,
)


@given(steps)
def test_no_limit_is_exceeded_and_every_request_is_answered(script: list[Any]) -> None:
    scheduler, clock = make_scheduler()
    requests: list[Request] = []
    running: list[Request] = []
    for action, key, success in script:
        if action == "ask":
            requests.append(Request(scheduler, HOOKS[key], timeout=3))
        elif action == "take" and (slot := scheduler.take(HOOKS[key])) is not None:
            running.append(Request(scheduler, HOOKS[key], granted=slot))
        elif action == "end" and running:
            running.pop(0).release(success)
        elif action == "advance":
            clock.advance(1)
        running += [request for request in requests if request.granted]
        requests = [request for request in requests if request.waiting]
        assert (scheduler.in_flight, scheduler.queued) == (len(running), len(requests))
        assert len(running) <= 12
        assert max(Counter(one.hook.account_id for one in running).values(), default=0) <= 3
        assert max(Counter(one.hook.id for one in running).values(), default=0) <= 2
    while running:
        running.pop().release(True)
        running += [request for request in requests if request.granted]
        requests = [request for request in requests if request.waiting]
    assert not requests
    assert_like_new(scheduler, clock)


def assert_like_new(scheduler: FairScheduler, clock: Clock) -> None:
    """After everything has ended, a scheduler decides like one that has just been built."""
    for hook in HOOKS.values():
        scheduler.reset(hook.queue_key)
    assert (scheduler.in_flight, scheduler.queued, clock.getDelayedCalls()) == (0, 0, [])
    fresh, _ = make_scheduler()
    wanted = [HOOKS[account, name] for name in "xyz" for account in "abc"] * 2
    assert granted(ask(scheduler, *wanted)) == granted(ask(fresh, *wanted))


def test_a_receiver_that_recovers_gets_more_requests_with_each_success() -> None:
    scheduler = FairScheduler(Clock(), 40, 40, 4)
    hook = make_hook()
    scheduler.start_slowly(hook)

    def take_all() -> list[Slot]:
        taken = [
            results_of(scheduler.acquire(hook, 0.0))[0] for _ in range(scheduler.free_slots(hook.queue_key))
        ]
        return [slot for slot in taken if slot is not None]

    (first,) = take_all()
    scheduler.release(first, True)
    second = take_all()
    assert len(second) == 2
    scheduler.release(second[0], True)
    scheduler.release(second[1], False)
    (only,) = take_all()
    for _ in range(3):
        scheduler.release(only, True)
        only, *others = take_all()
        for slot in others:
            scheduler.release(slot, None)
    scheduler.release(only, None)
    assert len(take_all()) == 4


def test_a_changed_hook_does_not_begin_slowly() -> None:
    scheduler = FairScheduler(Clock(), 40, 40, 4)
    hook = make_hook()
    scheduler.start_slowly(hook)
    scheduler.reset(hook.queue_key)
    assert scheduler.free_slots(hook.queue_key) == 4


def test_a_free_slot_can_be_taken_at_once_within_the_same_limits() -> None:
    scheduler, _ = make_scheduler()
    taken = [scheduler.take(HOOKS["a", "x"]) for _ in range(3)]
    assert [slot is not None for slot in taken] == [True, True, False]
    waiting, other = ask(scheduler, HOOKS["a", "x"], HOOKS["a", "y"])
    assert granted([waiting, other]) == [False, True]
    other.release()
    for slot in taken[:2]:
        assert slot is not None
        scheduler.release(slot, None)
    waiting.release()
    assert scheduler.take(HOOKS["a", "x"]) is not None


@pytest.mark.parametrize("rate_limit", [5.0, 0.0])
def test_a_slot_that_must_be_decided_on_cannot_be_taken(rate_limit: float) -> None:
    scheduler, _ = make_scheduler()
    hook = evolve(HOOKS["a", "x"], rate_limit=rate_limit)
    if not rate_limit:
        open_circuit(scheduler, hook)
    assert scheduler.take(hook) is None
    assert Request(scheduler, hook).granted


def test_slots_are_taken_like_granted_ones() -> None:
    taken, asked = make_scheduler(total=16, per_account=8, per_hook=4)[0], make_scheduler(16, 8, 4)[0]
    for key in sorted(HOOKS) * 6:
        assert (taken.take(HOOKS[key]) is not None) == (Request(asked, HOOKS[key], timeout=0.0).granted)


def test_a_slot_is_passed_on_to_the_next_request_of_the_hook() -> None:
    scheduler, _ = make_scheduler(per_hook=1)
    requests = ask(scheduler, *[HOOKS["a", "x"]] * 3)
    requests[0].release(True)
    assert granted(requests) == [True, True, False]
    assert (scheduler.in_flight, scheduler.queued) == (1, 1)
    other = Request(scheduler, HOOKS["a", "y"])
    assert other.granted
    requests[1].release(True)
    requests[2].release(True)
    other.release(True)
    assert (scheduler.in_flight, scheduler.queued, scheduler.load("ax")) == (0, 0, 0)


def test_a_hook_is_congested_when_its_requests_take_too_long_for_those_that_wait() -> None:
    scheduler, clock = make_scheduler(per_hook=1)
    assert scheduler.find("ax") is None
    first, *waiting = ask(scheduler, *[HOOKS["a", "x"]] * 4)

    def is_congested(longest_wait: float, many: int) -> bool:
        queue = scheduler.find("ax")
        return queue is not None and queue.is_congested(clock.seconds(), longest_wait, many, 1)

    assert not is_congested(2.0, 3)
    clock.advance(0.5)
    assert is_congested(2.0, 3)
    assert not is_congested(2.0, 4)
    assert is_congested(1.4, 4)
    first.release(True)
    assert not is_congested(2.0, 2)
    assert granted(waiting) == [True, False, False]
