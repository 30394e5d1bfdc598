from __future__ import annotations

import weakref

from twisted.internet.task import Clock

from kazoo_bridge.webhooks.delivery.hook_queues import STALL_TIMEOUT, HookQueue, SlotRequest
from kazoo_bridge.webhooks.delivery.slot_waits import SlotWaits


class Waits:
    """Waits for slots, and the names of those that were given up with the time of that."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.given_up: list[tuple[str, float]] = []
        self.names: dict[int, str] = {}
        self.waits = SlotWaits(self.clock, self._give_up)

    def add(self, name: str, timeout: float, *, hurried: bool = False) -> SlotRequest:
        queue = HookQueue("h", "a")
        deadline = self.clock.seconds() + timeout
        request = SlotRequest(queue, lambda slot: None, deadline, hurried)
        self.names[id(request)] = name
        self.waits.add(request, timeout, self.clock.seconds())
        return request

    def end(self, request: SlotRequest) -> None:
        request.waiting = False
        self.waits.ended()

    def _give_up(self, request: SlotRequest) -> None:
        self.given_up.append((self.names[id(request)], self.clock.seconds()))
        self.end(request)

    def pump(self, seconds: float) -> None:
        for _ in range(round(seconds / 0.125)):
            self.clock.advance(0.125)


def test_each_wait_ends_at_its_own_time_with_one_delayed_call() -> None:
    waits = Waits()
    waits.add("long", 5.0)
    waits.add("short", 2.0)
    assert len(waits.clock.getDelayedCalls()) == 1
    waits.pump(1.0)
    waits.add("later", 2.0)
    waits.pump(9.0)
    assert waits.given_up == [("short", 2.0), ("later", 3.0), ("long", 5.0)]
    assert waits.clock.getDelayedCalls() == []


def test_a_wait_that_has_ended_is_not_given_up() -> None:
    waits = Waits()
    served, other = waits.add("served", 2.0), waits.add("other", 2.0)
    waits.end(served)
    waits.pump(3.0)
    assert waits.given_up == [("other", 2.0)]
    assert not other.waiting


def test_nothing_is_remembered_when_nothing_waits() -> None:
    waits = Waits()
    waits.end(waits.add("served", 2.0))
    assert waits.clock.getDelayedCalls() == []
    waits.add("late", 2.0)
    waits.pump(2.0)
    assert waits.given_up == [("late", 2.0)]


def test_a_hurried_wait_ends_when_its_receiver_stops_answering() -> None:
    waits = Waits()
    patient = waits.add("patient", 2.0)
    hurried = waits.add("hurried", 2.0, hurried=True)
    for _ in range(4):
        waits.pump(0.125)
        hurried.queue.progressed = waits.clock.seconds()
    assert waits.given_up == []
    waits.pump(1.0)
    ((name, when),) = waits.given_up
    assert (name, patient.waiting) == ("hurried", True)
    assert STALL_TIMEOUT <= when - 0.5 <= 2 * STALL_TIMEOUT


def test_a_hurried_wait_ends_in_time_although_its_receiver_answers() -> None:
    waits = Waits()
    hurried = waits.add("hurried", 2.0, hurried=True)
    for _ in range(24):
        waits.pump(0.125)
        hurried.queue.progressed = waits.clock.seconds()
    assert waits.given_up == [("hurried", 2.0)]


def test_a_node_that_was_busy_reads_answers_before_it_gives_up_hurried_waits() -> None:
    waits = Waits()
    hurried = waits.add("hurried", 2.0, hurried=True)
    waits.clock.advance(1.0)
    assert waits.given_up == []
    hurried.queue.progressed = waits.clock.seconds()
    waits.pump(0.125)
    assert waits.given_up == []
    waits.pump(0.5)
    assert [name for name, _ in waits.given_up] == ["hurried"]


def test_requests_that_wait_no_more_are_forgotten_when_others_begin_to_wait() -> None:
    waits = Waits()
    first = waits.add("first", 2.0, hurried=True)
    waits.add("second", 2.0)
    forgotten = weakref.ref(first)
    waits.end(first)
    del first
    waits.add("third", 2.0, hurried=True)
    assert forgotten() is None
    waits.pump(3.0)
    assert sorted(name for name, _ in waits.given_up) == ["second", "third"]
