from __future__ import annotations

from twisted.internet.task import Clock

from kazoo_bridge.demo.timer import Timer


def test_setting_replaces_and_clearing_cancels_the_delayed_call() -> None:
    clock, fired = Clock(), list[str]()
    timer = Timer(clock)
    timer.clear()
    timer.set(1, lambda: fired.append("first"))
    timer.set(2, lambda: fired.append("second"))
    clock.advance(2)
    assert fired == ["second"]
    timer.set(1, lambda: fired.append("third"))
    timer.clear()
    assert clock.getDelayedCalls() == []
    clock.advance(1)
    assert fired == ["second"]


def test_a_timer_can_be_set_again_by_its_action() -> None:
    clock, fired = Clock(), list[float]()
    timer = Timer(clock)

    def action() -> None:
        fired.append(clock.seconds())
        timer.set(1, action)

    timer.set(1, action)
    clock.pump([1, 1, 1])
    assert fired == [1, 2, 3]
