from __future__ import annotations

from collections import Counter
from typing import Any

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from kazoo_bridge.webhooks.delivery.fair_scheduler import FairScheduler, Slot
from tests.webhooks.hook_factory import make_hook

HOOKS = {(account, name): make_hook(f"{account}{name}", account * 32) for account in "abc" for name in "xyz"}


def made(total: int = 12, per_account: int = 3, per_hook: int = 2) -> tuple[FairScheduler, Clock]:
    clock = Clock()
    return FairScheduler(clock, total, per_account, per_hook), clock


def granted(turns: list[Slot]) -> list[bool]:
    return [turn.granted.called for turn in turns]


def test_the_bounds() -> None:
    turns, _ = made()
    of_one_hook = [turns.acquire(HOOKS["a", "x"]) for _ in range(3)]
    assert granted(of_one_hook) == [True, True, False]
    of_its_account = [turns.acquire(HOOKS["a", "y"]) for _ in range(2)]
    assert granted(of_its_account) == [True, False]
    others = [turns.acquire(HOOKS["b", name]) for name in "xyz"] + [turns.acquire(HOOKS["c", "x"])]
    assert granted(others) == [True, True, True, True]
    of_another = [turns.acquire(HOOKS["c", name]) for name in "xxy"]
    assert granted(of_another) == [
        True,
        False,
        True,
    ]  # of what it has now, the double is not left, but a hook's first place is


def test_accounts_take_turns() -> None:
    turns, _ = made(total=1, per_account=1, per_hook=1)
    first = turns.acquire(HOOKS["a", "x"])
    flood = [turns.acquire(HOOKS["a", "x"]) for _ in range(100)]
    late = [turns.acquire(HOOKS["b", "x"]), turns.acquire(HOOKS["c", "x"])]
    turns.release(first, True)
    order: list[Any] = []
    for _ in range(4):
        (now,) = [turn for turn in [*flood, *late] if turn.granted.called and turn not in order]
        order.append(now)
        turns.release(now, True)
    assert {turn.queue.account_id[0] for turn in order[:3]} == {"a", "b", "c"}


def test_a_failing_lane_is_narrowed_until_it_succeeds_or_its_hook_changes() -> None:
    turns, _ = made()
    for _ in range(5):
        turns.release(turns.acquire(HOOKS["a", "x"]), False)
    assert turns.circuit_open("ax")
    assert turns.free_slots("ax") == 1
    probe, waiting = turns.acquire(HOOKS["a", "x"]), turns.acquire(HOOKS["a", "x"])
    assert granted([probe, waiting]) == [True, False]
    turns.release(probe, True)
    assert granted([waiting, turns.acquire(HOOKS["a", "x"])]) == [True, True]
    for _ in range(5):
        turns.release(turns.acquire(HOOKS["a", "y"]), False)
    turns.reset("ay")
    assert not turns.circuit_open("ay")


def test_whoever_leaves_gets_nothing() -> None:
    turns, _ = made(per_hook=1)
    first, second, third = (turns.acquire(HOOKS["a", "x"]) for _ in range(3))
    assert turns.cancel(second)
    assert not turns.cancel(first)
    turns.release(first, None)
    assert granted([second, third]) == [False, True]


def test_a_rate_limit() -> None:
    turns, clock = made(per_hook=10, per_account=10, total=10)
    hook = evolve(HOOKS["a", "x"], rate_limit=2.0)
    asked = [turns.acquire(hook) for _ in range(3)]
    assert granted(asked) == [True, False, False]
    clock.advance(0.5)
    assert granted(asked) == [True, True, False]
    for turn in asked[:2]:
        turns.release(turn, True)
    assert not asked[2].granted.called
    clock.advance(0.5)
    assert asked[2].granted.called
    turns.release(asked[2], True)
    clock.advance(1)
    assert not clock.getDelayedCalls()


def test_thousands_that_end_at_once_do_not_pile_up() -> None:
    turns, _ = made(total=1)
    first = turns.acquire(HOOKS["a", "x"])
    ended = []
    for _ in range(5000):
        turn = turns.acquire(HOOKS["a", "x"])
        turn.granted.addCallback(lambda _, turn=turn: (ended.append(turn), turns.release(turn, True)))
    turns.release(first, True)
    assert len(ended) == 5000


def test_whoever_has_fewest_comes_first() -> None:
    turns, _ = made(total=16, per_account=4, per_hook=4)
    slow = [turns.acquire(HOOKS["a", "x"]) for _ in range(10)]
    assert sum(granted(slow)) == 2  # as many as are left for its account's other hooks
    others = [turns.acquire(HOOKS["a", name]) for name in "yzyz"]
    assert granted(others) == [True, True, False, False]
    turns.release(slow[0], True)
    turns.release(others[0], True)
    assert granted(others) == [True, True, True, False]
    assert sum(granted(slow)) == 2


def test_though_many_hang_there_is_a_place_for_whoever_comes_along() -> None:
    hooks = [make_hook(f"{account}-{name}", f"{account:032d}") for account in range(10) for name in range(10)]
    turns, _ = made(total=256, per_account=64, per_hook=32)
    for hook in hooks:
        for _ in range(50):
            turns.acquire(hook)
    assert turns.in_flight < 256
    assert turns.acquire(make_hook("healthy", f"{10:032d}")).granted.called


def test_a_hook_finds_a_place_though_others_of_its_account_and_of_other_accounts_hang() -> None:
    hooks = [make_hook(f"{account}-{name}", f"{account:032d}") for account in range(5) for name in range(2)]
    turns, _ = made(total=256, per_account=64, per_hook=32)
    for hook in hooks:
        for _ in range(50):
            turns.acquire(hook)
    for account in range(5):
        assert turns.acquire(make_hook(f"{account}-healthy", f"{account:032d}")).granted.called


def test_those_that_keep_failing_share_half_of_all_places() -> None:
    turns, _ = made(total=20, per_account=5, per_hook=2)
    failing = [make_hook(f"dead{number}", f"{number:032d}") for number in range(30)]
    for hook in failing:
        for _ in range(5):
            turns.release(turns.acquire(hook), False)
    probes = [turns.acquire(hook) for hook in failing]
    assert granted(probes) == [True] * 10 + [False] * 20
    assert turns.acquire(make_hook("healthy", "f" * 32)).granted.called
    turns.release(probes[0], False)
    assert granted(probes) == [True] * 11 + [False] * 19
    turns.reset("dead20")  # it has been changed
    assert probes[20].granted.called
    for probe in probes[11:20]:
        turns.cancel(probe)
    turns.release(probes[1], True)
    assert granted(probes[21:]) == [True] + [False] * 8


def check_bounds(running: list[Slot], waiting: list[Slot]) -> None:
    """At most 12 in all, 3 for an account, 2 for a hook; and nobody waits who need not."""
    assert len(running) <= 12
    by_account = Counter(turn.queue.account_id for turn in running)
    by_hook = Counter(turn.queue.key for turn in running)
    assert max(by_account.values(), default=0) <= 3
    assert max(by_hook.values(), default=0) <= 2
    free = 12 - len(running)
    for turn in waiting if free else []:
        of_hook, of_account = by_hook[turn.queue.key], by_account[turn.queue.account_id]
        if turn.queue.circuit_open and sum(one.half_open_probe for one in running) >= 6:
            continue
        its_hook_has_enough = (
            of_hook >= (1 if turn.queue.circuit_open else 2) or 0 < 3 - of_account <= of_hook
        )
        its_account_has_enough = 0 < free <= 2 * of_account and (of_hook or free <= 12 // 8)
        assert its_hook_has_enough or of_account == 3 or its_account_has_enough


steps = st.lists(
    st.tuples(st.sampled_from(["ask", "done", "leave"]), st.sampled_from(sorted(HOOKS)), st.booleans()),
    max_size=200,
)


@given(steps)
def test_no_bound_is_ever_broken_no_place_is_left_empty_and_nothing_is_remembered(script: list[Any]) -> None:
    turns, _ = made()
    waiting: list[Slot] = []
    running: list[Slot] = []
    for action, who, success in script:
        if action == "ask":
            waiting.append(turns.acquire(HOOKS[who]))
        elif action == "done" and running:
            turns.release(running.pop(0), success)
        elif action == "leave" and waiting:
            assert turns.cancel(waiting.pop())
        running += [turn for turn in waiting if turn.granted.called]
        waiting = [turn for turn in waiting if not turn.granted.called]
        assert turns.in_flight == len(running)
        check_bounds(running, waiting)
    while running or waiting:
        while running:
            turns.release(running.pop(), True)
        running = [turn for turn in waiting if turn.granted.called]
        waiting = [turn for turn in waiting if not turn.granted.called]
    for hook in HOOKS.values():
        turns.reset(hook.id)
    assert not turns._queues
    assert not turns._accounts
    assert len(turns._ready) == 0
    assert len(turns._idle_accounts) == 0
    assert not turns._held_back
    assert turns._probing == 0
