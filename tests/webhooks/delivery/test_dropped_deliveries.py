from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve
from twisted.internet.task import Clock

from kazoo_bridge.interfaces import Occurrence
from kazoo_bridge.kazoo import to_gregorian
from kazoo_bridge.webhooks.delivery.dispatcher import make_delivery
from kazoo_bridge.webhooks.delivery.dropped_deliveries import DroppedDeliveries, event_time
from kazoo_bridge.webhooks.delivery.missed_events import TOO_OLD, MissedEvents
from tests.webhooks.fakes import FakeDirectory, FakeMissedEventStore, respond
from tests.webhooks.harness import make_harness, results_of
from tests.webhooks.hook_factory import ACCOUNT, make_hook

NOW = 1_700_000_000.0


def delivery_with(**payload: Any) -> Any:
    return make_delivery(make_hook(), Occurrence("channel_create", ACCOUNT, payload), "e1", NOW)


@pytest.mark.parametrize(
    ("timestamp", "time"),
    [
        (to_gregorian(NOW) - 100, NOW - 100),
        (str(to_gregorian(NOW) - 100), NOW - 100),
        (to_gregorian(NOW) + 100, NOW),
        (to_gregorian(NOW) - 31 * 86_400, NOW),
        (int(NOW), NOW),
        (True, NOW),
        ("soon", NOW),
        (10**400, NOW),
        (None, NOW),
    ],
)
def test_the_time_of_an_event_is_its_own_if_plausible(timestamp: Any, time: float) -> None:
    assert event_time(delivery_with(timestamp=timestamp)) == time


def test_a_replay_counts_as_a_new_event() -> None:
    replayed = evolve(delivery_with(timestamp=to_gregorian(NOW) - 100), replayed_at=NOW + 50)
    assert event_time(replayed) == NOW + 50


def test_what_is_older_than_the_hook_permits_is_dropped_and_counted() -> None:
    clock = Clock()
    clock.advance(NOW + 30)
    missed = MissedEvents(clock, FakeMissedEventStore())
    dropped = DroppedDeliveries(clock, missed, FakeDirectory({}))
    assert not dropped.drop_if_too_old(make_hook(), delivery_with())
    assert not dropped.drop_if_too_old(make_hook(max_age_s=30), delivery_with())
    assert missed.totals == {}
    assert dropped.drop_if_too_old(make_hook(max_age_s=29), delivery_with())
    assert missed.totals == {TOO_OLD: 1}


def test_a_first_attempt_at_an_old_event_is_not_made() -> None:
    agent, harness = make_harness(reachable=True)
    hook = harness.hook(max_age_s=5)
    harness.clock.advance(NOW)
    results = results_of(harness.deliver(hook, timestamp=to_gregorian(NOW) - 6))
    assert results == [None]
    assert (agent.times, harness.deliveries.rows, harness.missed.totals) == ([], {}, {TOO_OLD: 1})
    harness.deliver(hook, "e2", timestamp=to_gregorian(NOW) - 4)
    respond(agent.hanging[0], 200)
    assert harness.missed.totals == {TOO_OLD: 1}


def test_an_event_that_has_waited_for_a_slot_for_too_long_is_not_sent() -> None:
    agent, harness = make_harness(reachable=True, total=1)
    blocking = harness.acquire(harness.hook("h2"))
    results = results_of(harness.deliver(harness.hook(max_age_s=1)))
    harness.pump(1.5)
    harness.scheduler.release(blocking, True)
    assert results == [None]
    assert (agent.times, harness.missed.totals) == ([], {TOO_OLD: 1})
    assert harness.scheduler.in_flight == 0


def test_a_failed_event_is_repeated_until_it_is_too_old() -> None:
    agent, harness = make_harness()
    harness.deliver(harness.hook(retries=2, max_age_s=3))
    harness.pump(30)
    assert agent.times == pytest.approx([0, 2], abs=0.5)
    assert (harness.deliveries.rows, harness.missed.totals) == ({}, {TOO_OLD: 1})


def test_old_events_take_no_slot() -> None:
    agent, harness = make_harness(reachable=True, started=False)
    hook = harness.hook(max_age_s=5, rate_limit=1)
    harness.store(hook, *(f"e{number}" for number in range(50)))
    harness.clock.advance(10)
    harness.store(hook, "new")
    harness.start()
    harness.pump(3)
    assert harness.missed.totals == {TOO_OLD: 50}
    assert len(agent.hanging) == 1


def test_a_replay_of_an_old_event_is_sent() -> None:
    agent, harness = make_harness(reachable=True, started=False)
    hook = harness.hook(max_age_s=5)
    harness.store(hook, "e1", next_attempt=None)
    (delivery_id,) = harness.deliveries.rows
    harness.clock.advance(100)
    harness.deliveries.retry(ACCOUNT, hook.id, delivery_id, harness.clock.seconds())
    harness.start()
    harness.pump(1)
    assert len(agent.hanging) == 1
    assert harness.missed.totals == {}
