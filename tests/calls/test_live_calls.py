from __future__ import annotations

from typing import cast

import pytest
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs

from kazoo_bridge.calls.live_calls import REFRESH_INTERVAL, RETRY_INTERVAL, SILENCE_TIMEOUT, TOPICS
from kazoo_bridge.interfaces import CallChange, IBus
from tests.calls.harness import Harness
from tests.calls.switch import ACCOUNT, OTHER, SwitchNode, listed


def test_the_snapshot_has_the_account_s_channels(harness: Harness) -> None:
    harness.node.of_account = [
        listed(
            "one",
            other_leg="two",
            authorizing_id="d1",
            authorizing_type="device",
            owner_id="u1",
            destination="2001",
            node="fs",
        ),
        listed("two", answered=False, direction="outbound", is_loopback=True),
        listed("three", is_onhold=True),
        listed("foreign", OTHER),
    ]
    watcher = harness.watch_with_snapshot()
    assert watcher.calls["one"] == {
        "call_id": "one",
        "account_id": ACCOUNT,
        "direction": "inbound",
        "to": "2001",
        "other_leg_call_id": "two",
        "authorizing_id": "d1",
        "authorizing_type": "device",
        "owner_id": "u1",
        "is_internal_leg": False,
        "state": "answered",
        "timestamp": 63961574400,
    }
    assert watcher.states == {"one": "answered", "two": "ringing", "three": "held"}
    assert watcher.calls["two"]["is_internal_leg"] is True


def test_a_call_from_ringing_to_its_end(harness: Harness) -> None:
    watcher = harness.watch_with_snapshot()
    harness.publish(
        "CHANNEL_CREATE",
        Caller_ID_Name="Žofie",
        Caller_ID_Number="2014",
        Call_Direction="inbound",
        From="a@x",
        To="b@x",
    )
    assert watcher.calls["call-1"] == {
        "call_id": "call-1",
        "account_id": ACCOUNT,
        "direction": "inbound",
        "caller_id_name": "Žofie",
        "caller_id_number": "2014",
        "from": "a@x",
        "to": "b@x",
        "owner_id": "u1",
        "is_internal_leg": False,
        "state": "ringing",
        "state_since": 62167219200,
        "timestamp": 63961574400,
    }
    for name, state in (
        ("CHANNEL_ANSWER", "answered"),
        ("CHANNEL_HOLD", "held"),
        ("CHANNEL_UNHOLD", "answered"),
    ):
        harness.publish(name, Timestamp=63961574500)
        assert watcher.states == {"call-1": state}
    harness.publish("CHANNEL_BRIDGE", Other_Leg_Call_ID="call-2")
    assert watcher.calls["call-1"]["other_leg_call_id"] == "call-2"
    assert watcher.calls["call-1"]["timestamp"] == 63961574400
    harness.publish("CHANNEL_DESTROY")
    assert watcher.calls == {}
    assert watcher.kinds == ["snapshot", *["changed"] * 5, "removed"]


@pytest.mark.parametrize("name", ["CHANNEL_DISCONNECTED", "CHANNEL_CONNECTED"])
def test_a_lost_link_to_the_switch_ends_no_call(harness: Harness, name: str) -> None:
    watcher = harness.watch_with_snapshot()
    harness.publish("CHANNEL_ANSWER")
    harness.publish(name)
    assert watcher.states == {"call-1": "answered"}
    harness.publish("CHANNEL_DESTROY")
    assert watcher.kinds == ["snapshot", "changed", "removed"]


def test_parking(harness: Harness) -> None:
    watcher = harness.watch_with_snapshot()
    harness.publish("CHANNEL_ANSWER")
    harness.publish("PARK_PARKED", Parking_Slot="101")
    assert (watcher.calls["call-1"]["state"], watcher.calls["call-1"]["parking_slot"]) == ("parked", "101")
    harness.publish("PARK_RETRIEVED", "another", Parking_Slot="102")
    assert watcher.states == {"call-1": "parked"}
    harness.publish("PARK_RETRIEVED", "another", Parking_Slot="101")
    assert watcher.states == {"call-1": "answered"}
    assert "parking_slot" not in watcher.calls["call-1"]


def test_replies_do_not_end_parking(harness: Harness) -> None:
    watcher = harness.watch_with_snapshot()
    harness.publish("PARK_PARKED", Parking_Slot="101")
    harness.node.of_account = [listed("call-1")]
    harness.wait(REFRESH_INTERVAL + 1)
    assert (watcher.calls["call-1"]["state"], watcher.calls["call-1"]["parking_slot"]) == ("parked", "101")


def test_events_without_news_are_not_passed_on(harness: Harness) -> None:
    watcher = harness.watch_with_snapshot()
    harness.publish("CHANNEL_ANSWER")
    harness.publish("CHANNEL_ANSWER")
    harness.publish("DTMF")
    harness.publish("CHANNEL_DESTROY", "unheard-of")
    assert watcher.kinds == ["snapshot", "changed"]


def test_events_of_other_accounts_and_malformed_events_are_ignored(harness: Harness) -> None:
    watcher = harness.watch_with_snapshot()
    harness.publish("CHANNEL_CREATE", account_id=OTHER)
    harness.publish("CHANNEL_CREATE", account_id=None)
    harness.publish("CHANNEL_CREATE", account_id=[ACCOUNT])
    harness.publish("CHANNEL_CREATE", Custom_Channel_Vars="none")
    harness.publish("CHANNEL_CREATE", Call_ID=5)
    harness.publish("CHANNEL_CREATE", Call_ID="x" * 600)
    assert watcher.kinds == ["snapshot"]


def test_an_event_overrides_an_older_reply(harness: Harness) -> None:
    harness.node.of_account = [
        listed("call-1", answered=False, presence_id="2001", destination="2001"),
        listed("call-2"),
    ]
    watcher, _ = harness.watch()
    harness.settle()
    assert harness.node.questions, "the query is running"
    harness.publish("CHANNEL_HOLD")
    harness.publish("CHANNEL_CREATE", "call-3")
    harness.publish("CHANNEL_DESTROY", "call-2")
    assert watcher.changes == []
    harness.finish_query()
    assert watcher.states == {"call-1": "held", "call-3": "ringing"}
    assert watcher.calls["call-1"]["to"] == "2001", "the reply has what the event lacks"


def test_a_call_that_has_ended_does_not_come_back(harness: Harness) -> None:
    harness.node.of_account = [listed("call-1")]
    watcher = harness.watch_with_snapshot()
    harness.publish("CHANNEL_DESTROY")
    harness.publish("CHANNEL_HOLD")
    assert watcher.calls == {}, "a late event does not bring it back"
    harness.wait(REFRESH_INTERVAL + 1)
    assert len(harness.node.questions) == 2
    assert watcher.calls == {}, "nor does a late reply"
    harness.publish("CHANNEL_CREATE")
    assert watcher.states == {"call-1": "ringing"}, "a new call with the id does"


def test_a_call_that_moves_to_another_switch_stays(harness: Harness) -> None:
    watcher = harness.watch_with_snapshot()
    harness.publish("CHANNEL_ANSWER")
    harness.publish("CHANNEL_DESTROY", Channel_Moving=True)
    assert watcher.states == {"call-1": "answered"}


def test_calls_are_reconciled_periodically(harness: Harness) -> None:
    harness.node.of_account = [listed("lost"), listed("held")]
    watcher = harness.watch_with_snapshot()
    harness.node.of_account = [listed("held", is_onhold=True), listed("missed")]
    harness.wait(REFRESH_INTERVAL + 1)
    assert watcher.states == {"held": "held", "missed": "answered"}
    assert watcher.kinds == ["snapshot", "changed", "removed"]
    harness.node.answer = lambda event: None
    harness.wait(REFRESH_INTERVAL + 1)
    assert len(harness.node.questions) == 3
    assert len(watcher.calls) == 2, "without a reply nothing is known"
    harness.wait(SILENCE_TIMEOUT + 1)
    assert len(harness.node.questions) == 4


def test_a_new_call_may_be_missing_in_a_reply(harness: Harness) -> None:
    watcher = harness.watch_with_snapshot()
    harness.wait(REFRESH_INTERVAL - 1)
    harness.publish("CHANNEL_CREATE")
    harness.wait(2)
    assert len(harness.node.questions) == 2
    assert watcher.states == {"call-1": "ringing"}
    harness.wait(REFRESH_INTERVAL + 1)
    assert watcher.calls == {}


def test_calls_are_queried_again_when_the_bus_is_back(harness: Harness) -> None:
    harness.node.of_account = [listed("before")]
    watcher = harness.watch_with_snapshot()
    harness.bus.stopService()
    harness.wait(1)
    harness.node.of_account = [listed("after")]
    harness.bus.startService()
    harness.wait(2)
    assert list(watcher.calls) == ["after"]


def test_watchers_receive_stale_while_the_bus_is_down_and_a_snapshot_afterwards(harness: Harness) -> None:
    harness.node.of_account = [listed("before")]
    watcher = harness.watch_with_snapshot()
    harness.bus.stopService()
    harness.wait(1)
    late, _ = harness.watch()
    harness.wait(1)
    assert (watcher.kinds, late.kinds) == (["snapshot", "stale"], ["snapshot", "stale"])
    assert list(late.calls) == ["before"]
    harness.node.answer = lambda event: None
    harness.bus.startService()
    harness.wait(2)
    assert watcher.kinds[-1] == "stale", "the bus is back, but no node has replied"
    harness.node.answer, harness.node.of_account = None, []
    harness.wait(SILENCE_TIMEOUT + 1)
    assert (watcher.kinds[-1], late.kinds[-1], watcher.calls) == ("snapshot", "snapshot", {})
    harness.publish("CHANNEL_CREATE", "new")
    assert watcher.kinds[-1] == "changed"


def test_calls_of_a_slow_node_do_not_count_as_ended(harness: Harness) -> None:
    harness.node.of_account = [listed("one")]
    slow = SwitchNode(cast(IBus, harness.bus), of_account=[listed("two")], name="slow")
    watcher = harness.watch_with_snapshot()
    harness.publish("CHANNEL_CREATE", "three", Node="slow")
    slow.answer = lambda event: None
    harness.node.of_account = []
    harness.wait(REFRESH_INTERVAL + 1)
    assert sorted(watcher.calls) == ["three", "two"], "only the call of the node that replied has ended"
    slow.answer = None
    harness.wait(SILENCE_TIMEOUT + 1)
    assert list(watcher.calls) == ["two"], "the node has replied to the next query"
    slow.answer = lambda event: None
    harness.wait(REFRESH_INTERVAL + 2 * SILENCE_TIMEOUT + 4)
    assert watcher.calls == {}, "the node never replied again"


def test_a_watch_that_starts_while_the_bus_is_down(harness: Harness) -> None:
    harness.bus.stopService()
    harness.node.of_account = [listed()]
    watcher, _ = harness.watch()
    harness.wait(RETRY_INTERVAL * 2)
    assert watcher.kinds == ["stale"]
    harness.bus.startService()
    harness.wait(RETRY_INTERVAL + 1)
    assert (watcher.kinds, list(watcher.calls)) == (["stale", "snapshot"], ["call-1"])


def test_without_a_switch_nothing_is_stale_once_the_bus_is_back(harness: Harness) -> None:
    harness.node.answer = lambda event: None
    watcher = harness.watch_with_snapshot()
    harness.bus.stopService()
    harness.wait(1)
    assert watcher.kinds == ["snapshot", "stale"]
    harness.bus.startService()
    harness.wait(2)
    assert watcher.kinds == ["snapshot", "stale", "snapshot"], "as at the beginning, no node has replied"
    harness.publish("CHANNEL_CREATE", "new")
    harness.bus.stopService()
    harness.wait(1)
    harness.bus.startService()
    harness.wait(2)
    assert watcher.kinds[-1] == "stale", "the call may have ended meanwhile"


def test_a_second_watcher_gets_a_snapshot_without_a_second_query(harness: Harness) -> None:
    harness.node.of_account = [listed()]
    first = harness.watch_with_snapshot()
    second, _ = harness.watch()
    assert second.changes == [], "not before watch has returned"
    harness.settle()
    assert (list(second.calls), second.kinds, first.kinds) == (["call-1"], ["snapshot"], ["snapshot"])
    assert len(harness.node.questions) == 1


def test_events_are_bound_and_queries_sent_only_while_accounts_are_watched(harness: Harness) -> None:
    consumer = harness.bus.consumers[-1]
    assert consumer.topics == set()
    assert consumer.queue.federated  # the replies to queries have the calls of all zones
    watcher, watch = harness.watch()
    harness.finish_query()
    assert consumer.topics == set(TOPICS)
    other, other_watch = harness.watch(OTHER)
    harness.finish_query()
    assert harness.service.watched == 2
    watch.stop()
    watch.stop()
    harness.publish("CHANNEL_CREATE")
    harness.publish("CHANNEL_CREATE", account_id=OTHER)
    assert (watcher.kinds, other.kinds) == (["snapshot"], ["snapshot", "changed"])
    assert harness.service.watched == 1
    other_watch.stop()
    assert (consumer.topics, harness.service.watched) == (set(), 0)
    assert len(harness.node.questions) == 2
    harness.wait(REFRESH_INTERVAL * 2)
    assert len(harness.node.questions) == 2
    assert harness.clock.getDelayedCalls() == []


def test_a_watch_that_is_stopped_during_its_query(harness: Harness) -> None:
    watcher, watch = harness.watch()
    harness.settle()
    watch.stop()
    harness.finish_query()
    assert watcher.changes == []
    assert harness.clock.getDelayedCalls() == []
    assert harness.watch_with_snapshot().kinds == ["snapshot"]


def test_an_exception_of_a_watcher_is_logged_and_others_go_on(harness: Harness) -> None:
    def fail(change: CallChange) -> None:
        raise RuntimeError("no")

    harness.service.watch(ACCOUNT, fail)
    with capturedLogs() as logged:
        watcher = harness.watch_with_snapshot()
        harness.publish("CHANNEL_CREATE")
    assert watcher.kinds == ["snapshot", "changed"]
    assert [event["kind"] for event in logged if "log_failure" in event] == ["snapshot", "changed"]


def test_a_watcher_may_stop_itself_when_it_is_called(harness: Harness) -> None:
    received: list[CallChange] = []

    def once(change: CallChange) -> None:
        received.append(change)
        watch.stop()

    watch = harness.service.watch(ACCOUNT, once)
    watcher = harness.watch_with_snapshot()
    harness.publish("CHANNEL_CREATE")
    assert (len(received), watcher.kinds) == (1, ["snapshot", "changed"])


def test_stop_ends_all_watches_and_leaves_no_delayed_call(harness: Harness) -> None:
    watcher = harness.watch_with_snapshot()
    second, _ = harness.watch(OTHER)
    harness.settle()
    harness.result_of(Deferred.fromCoroutine(harness.service.stop()))
    assert harness.clock.getDelayedCalls() == []
    harness.publish("CHANNEL_CREATE")
    assert (watcher.kinds, second.kinds, harness.service.watched) == (["snapshot"], [], 0)
