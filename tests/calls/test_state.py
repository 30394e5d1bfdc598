from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from attrs import define, evolve, field
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from kazoo_bridge.bus.embedded import EmbeddedBus
from kazoo_bridge.calls import account_calls as pictures
from kazoo_bridge.calls.live_calls import REFRESH_INTERVAL, RETRY_INTERVAL, SILENCE_TIMEOUT, TOPICS
from kazoo_bridge.calls.service import CallService
from kazoo_bridge.config import Calls, Config
from kazoo_bridge.interfaces import CallChange, ICallWatch
from tests.calls.switch import ACCOUNT, OTHER, SwitchNode, listed

TIMEOUT = 0.5


@define
class Watcher:
    """Keeps what it is told, and the picture that comes of it."""

    changes: list[CallChange] = field(factory=list)
    calls: dict[str, Any] = field(factory=dict)

    def __call__(self, change: CallChange) -> None:
        self.changes.append(change)
        if change.kind == "snapshot":
            self.calls.clear()
        self.calls.update({call["call_id"]: call for call in change.calls})
        for call_id in change.call_ids:
            del self.calls[call_id]

    @property
    def kinds(self) -> list[str]:
        return [change.kind for change in self.changes]

    @property
    def states(self) -> dict[str, str]:
        return {call_id: call["state"] for call_id, call in self.calls.items()}


@define
class Scene:
    clock: Clock
    bus: EmbeddedBus
    node: SwitchNode
    room: CallService

    def watch(self, account_id: str = ACCOUNT) -> tuple[Watcher, ICallWatch]:
        watcher = Watcher()
        return watcher, self.room.watch(account_id, watcher)

    def watched(self, account_id: str = ACCOUNT) -> Watcher:
        """A watcher that has its snapshot."""
        watcher, _ = self.watch(account_id)
        self.answer()
        assert watcher.kinds == ["snapshot"]
        return watcher

    def settle(self) -> None:
        for _ in range(20):
            self.clock.advance(0)

    def answer(self) -> None:
        """Let the time for a question pass."""
        self.settle()
        self.clock.advance(TIMEOUT)
        self.settle()

    def wait(self, seconds: float) -> None:
        """In steps, as a clock goes."""
        for _ in range(round(seconds * 4)):
            self.clock.advance(0.25)

    def event(
        self, name: str, call_id: str = "call-1", account_id: str | None = ACCOUNT, **more: Any
    ) -> None:
        body = {
            "Event-Category": "call_event",
            "Event-Name": name,
            "Call-ID": call_id,
            "Msg-ID": "m",
            "Timestamp": 63961574400,
        }
        body |= {"Custom-Channel-Vars": {"Account-ID": account_id, "Owner-ID": "u1"}} if account_id else {}
        self.bus.publish(
            "callevt",
            f"call.{name}.{call_id}",
            body | {key.replace("_", "-"): value for key, value in more.items()},
        )
        self.settle()


@pytest.fixture
def scene() -> Iterator[Scene]:
    clock = Clock()
    bus = EmbeddedBus(clock)
    node = SwitchNode(bus)
    room = CallService.from_config(
        clock, evolve(Config(), calls=Calls(query_timeout_ms=int(TIMEOUT * 1000))), bus
    )
    bus.startService()
    room.start()
    yield Scene(clock, bus, node, room)
    Deferred.fromCoroutine(room.stop())
    bus.stopService()


def test_a_snapshot_of_what_the_switch_tells(scene: Scene) -> None:
    scene.node.of_account = [
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
    watcher = scene.watched()
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


def test_a_call_from_ringing_to_its_end(scene: Scene) -> None:
    watcher = scene.watched()
    scene.event(
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
        "timestamp": 63961574400,
    }
    for name, state in (
        ("CHANNEL_ANSWER", "answered"),
        ("CHANNEL_HOLD", "held"),
        ("CHANNEL_UNHOLD", "answered"),
    ):
        scene.event(name, Timestamp=63961574500)
        assert watcher.states == {"call-1": state}
    scene.event("CHANNEL_BRIDGE", Other_Leg_Call_ID="call-2")
    assert watcher.calls["call-1"]["other_leg_call_id"] == "call-2"
    assert watcher.calls["call-1"]["timestamp"] == 63961574400
    scene.event("CHANNEL_DESTROY")
    assert watcher.calls == {}
    assert watcher.kinds == ["snapshot", *["changed"] * 5, "removed"]


def test_parking(scene: Scene) -> None:
    watcher = scene.watched()
    scene.event("CHANNEL_ANSWER")
    scene.event("PARK_PARKED", Parking_Slot="101")
    assert (watcher.calls["call-1"]["state"], watcher.calls["call-1"]["parking_slot"]) == ("parked", "101")
    scene.event("PARK_RETRIEVED", "another", Parking_Slot="102")
    assert watcher.states == {"call-1": "parked"}
    scene.event("PARK_RETRIEVED", "another", Parking_Slot="101")
    assert watcher.states == {"call-1": "answered"}
    assert "parking_slot" not in watcher.calls["call-1"]


def test_the_switch_does_not_end_parking_by_knowing_nothing_of_it(scene: Scene) -> None:
    watcher = scene.watched()
    scene.event("PARK_PARKED", Parking_Slot="101")
    scene.node.of_account = [listed("call-1")]
    scene.wait(REFRESH_INTERVAL + 1)
    assert (watcher.calls["call-1"]["state"], watcher.calls["call-1"]["parking_slot"]) == ("parked", "101")


def test_events_that_say_nothing_new_are_not_told(scene: Scene) -> None:
    watcher = scene.watched()
    scene.event("CHANNEL_ANSWER")
    scene.event("CHANNEL_ANSWER")
    scene.event("DTMF")
    scene.event("CHANNEL_DESTROY", "unheard-of")
    assert watcher.kinds == ["snapshot", "changed"]


def test_other_accounts_and_odd_events_are_not_seen(scene: Scene) -> None:
    watcher = scene.watched()
    scene.event("CHANNEL_CREATE", account_id=OTHER)
    scene.event("CHANNEL_CREATE", account_id=None)
    scene.event("CHANNEL_CREATE", account_id=[ACCOUNT])  # type: ignore[arg-type]
    scene.event("CHANNEL_CREATE", Custom_Channel_Vars="none")
    scene.event("CHANNEL_CREATE", Call_ID=5)
    scene.event("CHANNEL_CREATE", Call_ID="x" * 600)
    assert watcher.kinds == ["snapshot"]


def test_an_event_is_not_overwritten_by_an_older_answer(scene: Scene) -> None:
    scene.node.of_account = [
        listed("call-1", answered=False, presence_id="2001", destination="2001"),
        listed("call-2"),
    ]
    watcher, _ = scene.watch()
    scene.settle()
    assert scene.node.questions, "the question is under way"
    scene.event("CHANNEL_HOLD")
    scene.event("CHANNEL_CREATE", "call-3")
    scene.event("CHANNEL_DESTROY", "call-2")
    assert watcher.changes == []
    scene.answer()
    assert watcher.states == {"call-1": "held", "call-3": "ringing"}
    assert watcher.calls["call-1"]["to"] == "2001", "what the event does not say comes from the answer"


def test_a_call_that_has_ended_does_not_come_back(scene: Scene) -> None:
    scene.node.of_account = [listed("call-1")]
    watcher = scene.watched()
    scene.event("CHANNEL_DESTROY")
    scene.event("CHANNEL_HOLD")
    assert watcher.calls == {}, "a late event does not bring it back"
    scene.wait(REFRESH_INTERVAL + 1)
    assert len(scene.node.questions) == 2
    assert watcher.calls == {}, "nor does a late answer"
    scene.event("CHANNEL_CREATE")
    assert watcher.states == {"call-1": "ringing"}, "one that is created anew does"


def test_a_call_that_moves_to_another_switch_stays(scene: Scene) -> None:
    watcher = scene.watched()
    scene.event("CHANNEL_ANSWER")
    scene.event("CHANNEL_DESTROY", Channel_Moving=True)
    assert watcher.states == {"call-1": "answered"}


def test_the_picture_is_corrected_every_now_and_then(scene: Scene) -> None:
    scene.node.of_account = [listed("lost"), listed("held")]
    watcher = scene.watched()
    scene.node.of_account = [listed("held", is_onhold=True), listed("missed")]
    scene.wait(REFRESH_INTERVAL + 1)
    assert watcher.states == {"held": "held", "missed": "answered"}
    assert watcher.kinds == ["snapshot", "changed", "removed"]
    scene.node.answer = lambda event: None
    scene.wait(REFRESH_INTERVAL + 1)
    assert len(scene.node.questions) == 3
    assert len(watcher.calls) == 2, "silence is no answer"
    scene.wait(SILENCE_TIMEOUT + 1)
    assert len(scene.node.questions) == 4


def test_a_call_that_has_just_begun_may_be_missing_in_an_answer(scene: Scene) -> None:
    watcher = scene.watched()
    scene.wait(REFRESH_INTERVAL - 1)
    scene.event("CHANNEL_CREATE")
    scene.wait(2)
    assert len(scene.node.questions) == 2
    assert watcher.states == {"call-1": "ringing"}
    scene.wait(REFRESH_INTERVAL + 1)
    assert watcher.calls == {}


def test_the_switch_is_asked_again_when_the_bus_is_back(scene: Scene) -> None:
    scene.node.of_account = [listed("before")]
    watcher = scene.watched()
    scene.bus.stopService()
    scene.wait(1)
    scene.node.of_account = [listed("after")]
    scene.bus.startService()
    scene.wait(2)
    assert list(watcher.calls) == ["after"]


def test_while_the_bus_is_away_watchers_are_told_and_right_again_is_a_snapshot(scene: Scene) -> None:
    scene.node.of_account = [listed("before")]
    watcher = scene.watched()
    scene.bus.stopService()
    scene.wait(1)
    late, _ = scene.watch()
    scene.wait(1)
    assert (watcher.kinds, late.kinds) == (["snapshot", "stale"], ["snapshot", "stale"])
    assert list(late.calls) == ["before"]
    scene.node.answer = lambda event: None
    scene.bus.startService()
    scene.wait(2)
    assert watcher.kinds[-1] == "stale", "the bus is back, but nobody has said yet which calls there are"
    scene.node.answer, scene.node.of_account = None, []
    scene.wait(SILENCE_TIMEOUT + 1)
    assert (watcher.kinds[-1], late.kinds[-1], watcher.calls) == ("snapshot", "snapshot", {})
    scene.event("CHANNEL_CREATE", "new")
    assert watcher.kinds[-1] == "changed"


def test_the_calls_of_a_node_that_is_slow_to_answer_are_not_taken_for_ended(scene: Scene) -> None:
    scene.node.of_account = [listed("one")]
    slow = SwitchNode(scene.bus, of_account=[listed("two")], name="slow")
    watcher = scene.watched()
    scene.event("CHANNEL_CREATE", "three", Node="slow")
    slow.answer = lambda event: None
    scene.node.of_account = []
    scene.wait(REFRESH_INTERVAL + 1)
    assert sorted(watcher.calls) == ["three", "two"], (
        "the node that answered has one call no more; of the other's nothing is known"
    )
    slow.answer = None
    scene.wait(SILENCE_TIMEOUT + 1)
    assert list(watcher.calls) == ["two"], "asked soon again, it says so"
    slow.answer = lambda event: None
    scene.wait(REFRESH_INTERVAL + 2 * SILENCE_TIMEOUT + 4)
    assert watcher.calls == {}, "a node that never answers again is dead"


def test_a_watch_that_begins_without_a_bus(scene: Scene) -> None:
    scene.bus.stopService()
    scene.node.of_account = [listed()]
    watcher, _ = scene.watch()
    scene.wait(RETRY_INTERVAL * 2)
    assert watcher.kinds == ["stale"]
    scene.bus.startService()
    scene.wait(RETRY_INTERVAL + 1)
    assert (watcher.kinds, list(watcher.calls)) == (["stale", "snapshot"], ["call-1"])


def test_a_second_watcher_gets_its_own_snapshot_and_no_second_question_is_asked(scene: Scene) -> None:
    scene.node.of_account = [listed()]
    first = scene.watched()
    second, _ = scene.watch()
    assert second.changes == [], "not before watch has returned"
    scene.settle()
    assert (list(second.calls), second.kinds, first.kinds) == (["call-1"], ["snapshot"], ["snapshot"])
    assert len(scene.node.questions) == 1


def test_nothing_is_bound_kept_or_asked_unless_somebody_watches(scene: Scene) -> None:
    live = scene.room._live

    def bound() -> int:
        return sum(
            len(topics) for queue, topics in scene.bus._bindings.items() if queue is live._consumer._queue
        )  # type: ignore[union-attr]

    assert bound() == 0
    watcher, watch = scene.watch()
    scene.answer()
    assert bound() == len(TOPICS)
    other, other_watch = scene.watch(OTHER)
    scene.answer()
    watch.stop()
    watch.stop()
    scene.event("CHANNEL_CREATE")
    scene.event("CHANNEL_CREATE", account_id=OTHER)
    assert (watcher.kinds, other.kinds, list(live._watched)) == (
        ["snapshot"],
        ["snapshot", "changed"],
        [OTHER],
    )
    other_watch.stop()
    assert (bound(), live._watched) == (0, {})
    assert len(scene.node.questions) == 2
    scene.wait(REFRESH_INTERVAL * 2)
    assert len(scene.node.questions) == 2
    assert scene.clock.getDelayedCalls() == []


def test_a_watch_that_is_stopped_while_the_question_is_under_way(scene: Scene) -> None:
    watcher, watch = scene.watch()
    scene.settle()
    watch.stop()
    scene.answer()
    assert watcher.changes == []
    assert scene.clock.getDelayedCalls() == []
    assert scene.watched().kinds == ["snapshot"]


def test_a_watcher_that_raises_harms_nobody(scene: Scene) -> None:
    def angry(change: CallChange) -> None:
        raise RuntimeError("no")

    scene.room.watch(ACCOUNT, angry)
    watcher = scene.watched()
    scene.event("CHANNEL_CREATE")
    assert watcher.kinds == ["snapshot", "changed"]


def test_a_watcher_may_stop_while_it_is_told(scene: Scene) -> None:
    told: list[CallChange] = []

    def once(change: CallChange) -> None:
        told.append(change)
        watch.stop()

    watch = scene.room.watch(ACCOUNT, once)
    watcher = scene.watched()
    scene.event("CHANNEL_CREATE")
    assert (len(told), watcher.kinds) == (1, ["snapshot", "changed"])


def test_calls_are_bounded(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "MAX_CALLS", 3)
    monkeypatch.setattr(pictures, "MAX_ENDED", 2)
    scene.node.of_account = [listed(f"old-{number}") for number in range(2)]
    watcher = scene.watched()
    for number in range(5):
        scene.event("CHANNEL_CREATE", f"new-{number}")
    assert sorted(watcher.calls) == ["new-0", "old-0", "old-1"]
    for number in range(5):
        scene.event("CHANNEL_DESTROY", f"new-{number}")
    picture = scene.room._live._watched[ACCOUNT].calls
    assert list(picture._ended) == ["new-3", "new-4"]
    assert len(picture._touched) <= 3


def test_what_has_ended_is_forgotten_in_time(scene: Scene) -> None:
    watcher = scene.watched()
    scene.event("CHANNEL_DESTROY")
    scene.wait(pictures.ENDED_TTL + REFRESH_INTERVAL)
    assert scene.room._live._watched[ACCOUNT].calls._ended == {}
    assert watcher.kinds == ["snapshot"]
