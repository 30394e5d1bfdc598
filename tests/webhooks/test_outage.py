"""A receiver's outage with the default configuration, from the first failed event to the last sent one."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from kazoo_bridge.kazoo import from_gregorian
from kazoo_bridge.webhooks.hooks.hook_service import TOO_MANY_FAILURES
from tests.webhooks.hook_factory import ACCOUNT
from tests.webhooks.outage_harness import OutageHarness

HOUR, DAY = 3600.0, 86_400.0


@pytest.fixture
def harness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OutageHarness:
    return OutageHarness(tmp_path, monkeypatch)


def assert_all_arrived_once(harness: OutageHarness) -> None:
    assert len(set(harness.receiver.accepted)) == len(harness.receiver.accepted) == len(harness.published)
    assert harness.acknowledgements == [[None]] * len(harness.published)


def test_every_event_arrives_after_25_seconds(harness: OutageHarness) -> None:
    harness.receiver.away = True
    harness.publish(25)
    assert (harness.enabled, harness.hook.document["disable_reason"]) == (False, TOO_MANY_FAILURES)
    assert harness.health["deliveries_waiting"] == 50
    harness.receiver.away = False
    harness.publish(35)
    assert harness.enabled
    assert "disable_reason" not in harness.hook.document
    assert_all_arrived_once(harness)
    assert harness.notifications == {"webhook_disabled": 1, "webhook_recovered": 1}


def test_every_event_arrives_after_an_hour(harness: OutageHarness) -> None:
    harness.receiver.away = True
    harness.publish(HOUR, interval=5)
    suspended = from_gregorian(harness.health["suspended_since"])
    assert suspended <= harness.clock.seconds() - HOUR + 120
    probes = [time for time in harness.receiver.times if time > suspended]
    assert len(probes) <= 12
    assert max(later - earlier for earlier, later in pairwise(probes)) <= 602
    harness.receiver.away = False
    harness.pass_time(700, step=2.0)
    assert harness.enabled
    assert_all_arrived_once(harness)
    health = harness.health
    assert health["deliveries_waiting"] == health["deliveries_dead"] == health["events_missed"] == 0
    assert harness.notifications == {"webhook_disabled": 1, "webhook_recovered": 1}


def test_what_waited_is_sent_oldest_first_and_slowly_at_the_beginning(harness: OutageHarness) -> None:
    harness.receiver.away = True
    harness.publish(120)
    waiting = [
        one.delivery.id for one in harness.run(harness.deliveries.page(ACCOUNT, None, "pending", None, 999))
    ]
    harness.receiver.away = False
    harness.receiver.delay = 5.0
    recovered_at = harness.clock.seconds()
    while not harness.receiver.accepted:
        harness.pass_time(1, step=0.5)
    harness.receiver.most_in_flight = 0
    harness.pass_time(7)
    assert harness.receiver.most_in_flight <= 2
    harness.pass_time(10)
    assert harness.receiver.most_in_flight in (4, 8)
    assert harness.clock.seconds() - recovered_at < 300
    harness.receiver.delay = 0.01
    harness.pass_time(60)
    assert harness.receiver.accepted[0] == waiting[-1]
    assert_all_arrived_once(harness)


def test_a_receiver_that_fails_again_is_suspended_again(harness: OutageHarness) -> None:
    for _ in range(2):
        harness.receiver.away = True
        harness.publish(20)
        assert not harness.enabled
        harness.receiver.away = False
        harness.publish(60)
        assert harness.enabled
    assert_all_arrived_once(harness)
    assert harness.notifications == {"webhook_disabled": 2, "webhook_recovered": 2}


def test_two_nodes_make_each_probe_once(harness: OutageHarness) -> None:
    harness.add_node()
    harness.receiver.away = True
    harness.publish(20)
    harness.reload()
    suspended_at = harness.clock.seconds()
    for _ in range(30):
        harness.pass_time(10)
        harness.reload()
    suspension = harness.hook.suspension
    assert suspension is not None
    assert suspension.probes == len([time for time in harness.receiver.times if time > suspended_at + 2])
    harness.receiver.away = False
    harness.pass_time(600)
    harness.reload()
    harness.pass_time(10)
    assert_all_arrived_once(harness)
    assert harness.notifications == {"webhook_disabled": 1, "webhook_recovered": 1}


def test_an_event_counts_once_however_often_it_is_attempted(harness: OutageHarness) -> None:
    harness.receiver.away = True
    harness.publish(2.5)  # five events, one less than the limit
    harness.pass_time(120)
    assert len(harness.receiver.times) > 15
    assert harness.enabled
    assert harness.health["failures_in_window"] <= 5


def test_the_sixth_event_suspends_the_hook(harness: OutageHarness) -> None:
    harness.receiver.status = 500
    harness.publish(3)
    harness.pass_time(15)
    assert not harness.enabled
    assert harness.hook.suspension is not None


def test_after_three_days_a_hook_is_given_up_and_what_waits_can_be_replayed(harness: OutageHarness) -> None:
    harness.receiver.away = True
    harness.publish(20)
    harness.pass_time(3 * DAY + 3600, step=1800.0)
    assert harness.hook.suspension is None
    assert not harness.enabled
    health = harness.health
    assert (health["deliveries_waiting"], health["deliveries_dead"]) == (0, 40)
    harness.publish(5)
    harness.pass_time(2)
    assert harness.health["missed_by_reason"] == {"disabled": 10}
    harness.receiver.away = False
    assert harness.run(harness.node.hooks.re_enable([ACCOUNT])) == 1
    assert harness.run(harness.node.dead_letters.replay(ACCOUNT, None, 0.0)) == 40
    harness.pass_time(10)
    assert len(set(harness.receiver.accepted)) == 40


def test_a_gone_receiver_is_disabled_at_once_and_never_probed(harness: OutageHarness) -> None:
    harness.receiver.status = 410
    harness.publish(0.5)
    assert harness.hook.document["disable_reason"] == "the receiver answered 410 Gone"
    harness.receiver.status = 200
    harness.publish(600, interval=60)
    assert not harness.enabled
    assert len(harness.receiver.times) == 1
    assert harness.health["missed_by_reason"] == {"disabled": 10}
    assert harness.notifications == {"webhook_disabled": 1}


def test_a_probe_that_is_answered_410_ends_the_suspension(harness: OutageHarness) -> None:
    harness.receiver.away = True
    harness.publish(20)
    harness.receiver.away, harness.receiver.status = False, 410
    harness.pass_time(60)
    assert harness.hook.suspension is None
    assert harness.hook.document["disable_reason"] == "the receiver answered 410 Gone"
    assert harness.health["deliveries_waiting"] == 40


def test_what_a_person_has_disabled_is_never_probed(harness: OutageHarness) -> None:
    harness.receiver.away = True
    harness.publish(20)
    harness.run(harness.node.hooks.patch(harness.hook, {"enabled": False}))
    requests = len(harness.receiver.times)
    harness.receiver.away = False
    harness.pass_time(HOUR, step=5.0)
    assert (len(harness.receiver.times), harness.enabled) == (requests, False)
    harness.run(harness.node.hooks.patch(harness.hook, {"enabled": True}))
    harness.pass_time(10)
    assert_all_arrived_once(harness)


def test_an_edit_of_a_suspended_hook_is_tried_soon(harness: OutageHarness) -> None:
    harness.receiver.away = True
    harness.publish(20)
    harness.pass_time(600, step=5.0)
    harness.receiver.away = False
    harness.run(harness.node.hooks.patch(harness.hook, {"name": "edited"}))
    harness.pass_time(5)
    assert harness.enabled
    assert harness.hook.document["name"] == "edited"
    assert_all_arrived_once(harness)


def test_without_self_healing_events_are_missed_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness = OutageHarness(tmp_path, monkeypatch, self_healing=False)
    harness.receiver.away = True
    harness.publish(25)
    harness.receiver.away = False
    harness.publish(HOUR, interval=60)
    assert not harness.enabled
    assert harness.hook.suspension is None
    health = harness.health
    assert health["events_missed"] + health["deliveries_waiting"] == 110
    assert health["missed_by_reason"] == {"disabled": health["events_missed"]}
    assert harness.receiver.accepted == []


def test_one_event_that_the_receiver_cannot_handle_does_not_keep_a_hook_suspended(
    harness: OutageHarness,
) -> None:
    harness.receiver.away = True
    harness.publish(20)
    (*_, oldest) = harness.run(harness.deliveries.page(ACCOUNT, None, "pending", None, 999))
    harness.receiver.refused.add(oldest.delivery.id)
    harness.receiver.away = False
    harness.pass_time(HOUR, step=5.0)
    assert harness.enabled
    assert len(set(harness.receiver.accepted)) == 39


def test_probes_of_an_ordered_hook_keep_the_order_of_each_call(harness: OutageHarness) -> None:
    harness.run(harness.node.hooks.patch(harness.hook, {"ordered": True}))
    harness.receiver.away = True
    harness.publish(3)
    harness.publish(20, call_id="one")
    listed = harness.run(harness.deliveries.page(ACCOUNT, None, "pending", None, 999))
    in_order = [one.delivery.id for one in reversed(listed)]
    assert not harness.enabled
    harness.receiver.refused = set(in_order[:7])
    harness.receiver.away = False
    harness.pass_time(2 * HOUR, step=10.0)
    assert harness.receiver.accepted == []
    harness.receiver.refused = set(in_order[:6])
    harness.pass_time(2 * HOUR, step=10.0)
    assert harness.enabled
    assert harness.receiver.accepted == in_order[6:]


def test_a_hook_whose_events_soon_grow_old_recovers_with_its_next_event(harness: OutageHarness) -> None:
    harness.run(harness.node.hooks.patch(harness.hook, {"max_age_s": 30}))
    harness.receiver.away = True
    harness.publish(30)
    harness.publish(HOUR, interval=200)
    assert not harness.enabled
    harness.receiver.away = False
    harness.publish(1200, interval=200)
    assert harness.enabled
    assert harness.health["deliveries_waiting"] == 0
    missed = harness.health["missed_by_reason"]["too_old"]
    assert missed + len(harness.receiver.accepted) == len(harness.published)
    assert harness.receiver.accepted


def test_no_event_that_waits_means_no_probe(harness: OutageHarness) -> None:
    harness.receiver.away = True
    harness.publish(20)
    harness.run(harness.deliveries.give_up(harness.hook_id, harness.clock.seconds(), "for the test"))
    requests = len(harness.receiver.times)
    harness.receiver.away = False
    harness.pass_time(4 * DAY, step=3600.0)
    assert len(harness.receiver.times) == requests
    assert harness.hook.suspension is not None
    harness.publish(3)
    assert harness.enabled
