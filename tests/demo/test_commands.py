from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from twisted.logger import LogLevel, capturedLogs

from kazoo_bridge.demo.call import Call
from kazoo_bridge.demo.leg import Leg
from kazoo_bridge.demo.phase import Phase
from tests.demo.harness import Harness


@pytest.fixture
def harness() -> Iterator[Harness]:
    harness = Harness()
    yield harness
    harness.stop()
    assert harness.clock.getDelayedCalls() == []


@pytest.fixture
def call(harness: Harness) -> Call:
    return harness.connect_call()


@pytest.fixture
def legs(call: Call) -> tuple[Leg, Leg]:
    assert call.second is not None
    return call.first, call.second


def ends(harness: Harness) -> dict[str, str]:
    """Return the hangup causes of the legs that have ended, by id."""
    return {
        event.body["Call-ID"]: event.body["Hangup-Cause"]
        for event in harness.call_events()
        if event.name == "CHANNEL_DESTROY"
    }


def created(harness: Harness) -> list[dict[str, Any]]:
    return [dict(event.body) for event in harness.call_events() if event.name == "CHANNEL_CREATE"]


@pytest.mark.parametrize("which", [0, 1])
def test_hangup(harness: Harness, legs: tuple[Leg, Leg], which: int) -> None:
    harness.run(7)
    harness.command(legs[which].id, "hangup")
    assert ends(harness) == {leg.id: "NORMAL_CLEARING" for leg in legs}
    for event in harness.call_events():
        assert event.body["Billing-Seconds"] >= 7
        assert event.body["Hangup-Code"] == "sip:200"
    assert len(harness.switchboard.calls) == 0
    assert harness.messages[-1].startswith("command obeyed: hangup")


@pytest.mark.parametrize("which", [0, 1])
def test_hold_and_resume(harness: Harness, legs: tuple[Leg, Leg], call: Call, which: int) -> None:
    leg_id = legs[which].id
    harness.command(leg_id, "hold")
    assert harness.leg_events() == [("CHANNEL_HOLD", leg_id)]
    harness.run(30)
    assert call.phase.value == "held"
    harness.command(leg_id, "resume")
    assert harness.leg_events() == [("CHANNEL_HOLD", leg_id), ("CHANNEL_UNHOLD", leg_id)]
    assert call.phase.value == "talking"


def test_a_held_call_resumes_by_itself(harness: Harness, legs: tuple[Leg, Leg]) -> None:
    harness.command(legs[0].id, "hold")
    harness.run(130)
    assert ("CHANNEL_UNHOLD", legs[0].id) in harness.leg_events()


def test_unhold_means_resume(harness: Harness, legs: tuple[Leg, Leg]) -> None:
    harness.command(legs[0].id, "hold")
    harness.command(legs[0].id, "unhold")
    assert harness.leg_events()[-1] == ("CHANNEL_UNHOLD", legs[0].id)


def test_a_held_call_is_not_held_again(harness: Harness, legs: tuple[Leg, Leg]) -> None:
    harness.command(legs[0].id, "hold")
    harness.command(legs[0].id, "hold")
    assert harness.leg_events() == [("CHANNEL_HOLD", legs[0].id)]
    assert harness.messages[-1] == f"command refused: hold for {legs[0].id}: the call is not connected"


@pytest.mark.parametrize("which", [0, 1])
def test_park_and_unpark(harness: Harness, legs: tuple[Leg, Leg], call: Call, which: int) -> None:
    parked, other = legs[which], legs[1 - which]
    harness.command(parked.id, "park")
    assert harness.leg_events() == [("CHANNEL_DESTROY", other.id), ("PARK_PARKED", parked.id)]
    assert harness.call_events()[-1].body["Parking-Slot"] == "101"
    harness.events.clear()
    harness.command(parked.id, "unpark")
    (retrieving,) = created(harness)
    assert ("PARK_RETRIEVED", parked.id) in harness.leg_events()
    assert harness.leg_events()[-1] == ("CHANNEL_BRIDGE", parked.id)
    assert harness.call_events()[-1].body["Other-Leg-Call-ID"] == retrieving["Call-ID"]
    assert call.phase is Phase.TALKING


def test_a_parked_call_that_is_hung_up_is_abandoned(harness: Harness, legs: tuple[Leg, Leg]) -> None:
    harness.command(legs[0].id, "park")
    harness.events.clear()
    harness.command(legs[0].id, "hangup")
    assert harness.leg_events() == [("PARK_ABANDONED", legs[0].id), ("CHANNEL_DESTROY", legs[0].id)]


@pytest.mark.parametrize(("leg", "kept"), [(None, 1), ("self", 1), ("bleg", 0), ("peer", 0)])
def test_blind_transfer(
    harness: Harness, legs: tuple[Leg, Leg], call: Call, leg: str | None, kept: int
) -> None:
    target = harness.switchboard.calls.colleague(call)
    harness.command(legs[0].id, "transfer", {"target": target.number, **({"leg": leg} if leg else {})})
    stays, goes = legs[kept], legs[1 - kept]
    assert ends(harness) == {goes.id: "BLIND_TRANSFER"}
    (ringing,) = created(harness)
    assert (ringing["Callee-ID-Number"], ringing["Callee-ID-Name"]) == (target.number, target.name)
    assert ringing["Other-Leg-Call-ID"] == stays.id
    assert ringing["Custom-Channel-Vars"]["Owner-ID"] == target.user_id
    harness.run(5)
    assert harness.leg_events()[-2:] == [("CHANNEL_ANSWER", ringing["Call-ID"]), ("CHANNEL_BRIDGE", stays.id)]
    assert call.legs[1].party == target


def test_attended_transfer(harness: Harness, legs: tuple[Leg, Leg], call: Call) -> None:
    target = harness.switchboard.calls.colleague(call)
    harness.command(legs[0].id, "transfer", {"target": target.number, "transfer-type": "attended"})
    (ringing,) = created(harness)
    assert harness.leg_events() == [("CHANNEL_HOLD", legs[1].id), ("CHANNEL_CREATE", ringing["Call-ID"])]
    assert set(call.legs) > set(legs)
    harness.run(5)
    assert (call.phase, ends(harness)) == (Phase.CONSULTING, {})
    bridged = harness.call_events()[-1]
    assert (bridged.name, bridged.body["Call-ID"]) == ("CHANNEL_BRIDGE", legs[0].id)
    assert bridged.body["Other-Leg-Call-ID"] == ringing["Call-ID"]
    harness.command(legs[0].id, "hangup")
    assert ends(harness) == {legs[0].id: "ATTENDED_TRANSFER"}
    assert {leg.id for leg in call.legs} == {legs[1].id, ringing["Call-ID"]}
    assert ("CHANNEL_UNHOLD", legs[1].id) in harness.leg_events()
    assert harness.leg_events()[-1] == ("CHANNEL_BRIDGE", legs[1].id)


def test_resume_cancels_an_attended_transfer(harness: Harness, legs: tuple[Leg, Leg], call: Call) -> None:
    target = harness.switchboard.calls.colleague(call)
    harness.command(legs[0].id, "transfer", {"target": target.number, "transfer-type": "attended"})
    harness.command(legs[0].id, "resume")
    (ringing,) = created(harness)
    assert ends(harness) == {ringing["Call-ID"]: "ORIGINATOR_CANCEL"}
    assert set(call.legs) == set(legs)
    assert call.phase is Phase.TALKING


@pytest.fixture
def consulting(harness: Harness, legs: tuple[Leg, Leg], call: Call) -> Leg:
    """Return the leg of a colleague whom the person of the first leg consults; the second leg is held."""
    target = harness.switchboard.calls.colleague(call)
    harness.command(legs[0].id, "transfer", {"target": target.number, "transfer-type": "attended"})
    harness.run_until(lambda: call.phase is Phase.CONSULTING)
    harness.events.clear()
    assert call.consulted is not None
    return call.consulted


@pytest.mark.parametrize("action", ["resume", "hangup"])
def test_a_consultation_is_cancelled(
    harness: Harness, legs: tuple[Leg, Leg], call: Call, consulting: Leg, action: str
) -> None:
    harness.command(legs[0].id if action == "resume" else consulting.id, action)
    assert ends(harness) == {consulting.id: "NORMAL_CLEARING"}
    assert ("CHANNEL_UNHOLD", legs[1].id) in harness.leg_events()
    assert call.phase is Phase.TALKING
    assert set(call.legs) == set(legs)


def test_a_consultation_is_swapped_by_intercepting_the_held_leg(
    harness: Harness, legs: tuple[Leg, Leg], call: Call, consulting: Leg
) -> None:
    own = {"target_type": "number", "target_id": legs[0].party.number}
    harness.command(legs[1].id, "intercept", own)
    assert ends(harness) == {}
    assert harness.leg_events() == [
        ("CHANNEL_UNHOLD", legs[1].id),
        ("CHANNEL_HOLD", consulting.id),
        ("CHANNEL_BRIDGE", legs[0].id),
    ]
    harness.command(legs[0].id, "hangup")
    assert ends(harness) == {legs[0].id: "ATTENDED_TRANSFER"}
    assert {leg.id for leg in call.legs} == {legs[1].id, consulting.id}
    assert call.phase is Phase.TALKING


def test_the_held_party_leaves_a_consultation(
    harness: Harness, legs: tuple[Leg, Leg], call: Call, consulting: Leg
) -> None:
    harness.command(legs[1].id, "hangup")
    assert ends(harness) == {legs[1].id: "NORMAL_CLEARING"}
    assert call.legs == [legs[0], consulting]
    assert call.phase is Phase.TALKING


def test_a_transfer_is_completed_before_the_answer(
    harness: Harness, legs: tuple[Leg, Leg], call: Call
) -> None:
    target = harness.switchboard.calls.colleague(call)
    harness.command(legs[0].id, "transfer", {"target": target.number, "transfer-type": "attended"})
    harness.command(legs[0].id, "hangup")
    assert ends(harness) == {legs[0].id: "ATTENDED_TRANSFER"}
    assert call.phase is Phase.RINGING
    harness.run_until(lambda: call.phase is Phase.TALKING)
    assert [leg.party for leg in call.legs] == [legs[1].party, target]


@pytest.mark.parametrize(("action", "data"), [("park", {"slot": "107"}), ("transfer", {"target": "*3107"})])
def test_a_chosen_slot(
    harness: Harness, legs: tuple[Leg, Leg], call: Call, action: str, data: dict[str, str]
) -> None:
    harness.command(legs[0].id, action, data)
    assert (call.phase, call.slot) == (Phase.PARKED, "107")
    assert harness.call_events()[-1].body["Parking-Slot"] == "107"
    harness.command(call.first.id, action, data)
    assert "slot 107 is taken" in harness.messages[-1]


def test_transfer_to_a_mailbox(harness: Harness, legs: tuple[Leg, Leg], call: Call) -> None:
    owner = harness.switchboard.calls.colleague(call)
    harness.command(legs[0].id, "transfer", {"target": f"**{owner.number}"})
    assert (call.phase, call.legs) == (Phase.MAILBOX, [legs[1]])
    harness.run(20)
    (voicemail,) = [event for event in harness.events if event.name == "voicemail_new"]
    assert voicemail.body["Owner-ID"] == owner.user_id


def test_transfer_to_an_external_number(harness: Harness, legs: tuple[Leg, Leg]) -> None:
    harness.command(legs[0].id, "transfer", {"target": "+15555550199"})
    (ringing,) = created(harness)
    assert ringing["To"] == "+15555550199@carrier.example.net"
    assert "Authorizing-ID" not in ringing["Custom-Channel-Vars"]


@pytest.mark.parametrize(
    ("kind", "attribute"), [("user", "user_id"), ("device", "device_id"), ("number", "number")]
)
def test_intercept(harness: Harness, legs: tuple[Leg, Leg], call: Call, kind: str, attribute: str) -> None:
    target = harness.switchboard.calls.colleague(call)
    harness.command(legs[0].id, "intercept", {"target_type": kind, "target_id": getattr(target, attribute)})
    assert ends(harness) == {legs[1].id: "NORMAL_CLEARING"}
    assert [leg.party for leg in call.legs] == [legs[0].party, target]
    assert harness.leg_events()[-1] == ("CHANNEL_BRIDGE", legs[0].id)


def test_intercept_of_unbridged_calls_only(harness: Harness, legs: tuple[Leg, Leg], call: Call) -> None:
    target = harness.switchboard.calls.colleague(call)
    harness.command(
        legs[0].id, "intercept", {"target_type": "user", "target_id": target.user_id, "unbridged_only": True}
    )
    assert harness.leg_events() == []
    assert "already bridged" in harness.messages[-1]


def test_intercept_while_it_rings(harness: Harness) -> None:
    (call,) = harness.switchboard.calls
    call.commanded = True
    harness.run_until(lambda: call.phase is Phase.RINGING)
    first, ringing, target = call.first, call.ringing, harness.switchboard.calls.colleague(call)
    assert ringing is not None
    harness.events.clear()
    harness.command(
        first.id, "intercept", {"target_type": "user", "target_id": target.user_id, "unbridged_only": True}
    )
    assert ends(harness) == {ringing.id: "NORMAL_CLEARING"}
    assert [leg.party for leg in call.legs] == [first.party, target]


def test_move(harness: Harness, legs: tuple[Leg, Leg], call: Call) -> None:
    target = harness.switchboard.calls.colleague(call)
    harness.command(legs[1].id, "move", {"device_id": target.device_id})
    assert ends(harness) == {legs[1].id: "NORMAL_CLEARING"}
    assert [leg.party for leg in call.legs] == [legs[0].party, target]
    assert harness.leg_events()[-1] == ("CHANNEL_BRIDGE", legs[0].id)


def test_callflow(harness: Harness, legs: tuple[Leg, Leg]) -> None:
    flow_id = "0f" * 16
    harness.command(legs[0].id, "callflow", {"id": flow_id})
    assert ends(harness) == {legs[1].id: "BLIND_TRANSFER"}
    assert [leg["Custom-Channel-Vars"]["CallFlow-ID"] for leg in created(harness)] == [flow_id]
    harness.run(5)
    assert harness.leg_events()[-1] == ("CHANNEL_BRIDGE", legs[0].id)


@pytest.mark.parametrize(
    ("action", "data", "becomes"),
    [
        ("play", {"id": "/media/quarry"}, {"playing": "/media/quarry"}),
        ("say", {"text": "412"}, {"playing": "412"}),
        ("tts", {"text": "the lift is out of order"}, {"playing": "the lift is out of order"}),
        ("record_call", {"action": "mask"}, {"recording": "off"}),
        ("audio_level", {"action": "start", "level": -2}, {"audio level": "-2"}),
    ],
)
def test_media_commands_change_only_the_media(
    harness: Harness, legs: tuple[Leg, Leg], action: str, data: dict[str, Any], becomes: dict[str, str]
) -> None:
    harness.command(legs[1].id, action, data)
    assert harness.leg_events() == []
    assert legs[1].media == becomes
    ((name, value),) = becomes.items()
    assert harness.messages[-1].endswith(f"{legs[1].id}: the call is talking; {name} {value}")


def test_a_recording_from_start_to_end(harness: Harness, legs: tuple[Leg, Leg]) -> None:
    states = []
    for action in ("start", "mask", "unmask", "stop", "toggle", "toggle"):
        harness.command(legs[0].id, "record_call", {"action": action})
        states.append(legs[0].media["recording"])
    assert states == ["on", "masked", "on", "off", "on", "off"]
    assert harness.leg_events() == [("RECORD_START", legs[0].id), ("RECORD_STOP", legs[0].id)] * 2


def test_a_recording_ends_with_its_leg(harness: Harness, legs: tuple[Leg, Leg]) -> None:
    harness.command(legs[0].id, "record_call", {"action": "start"})
    harness.command(legs[0].id, "hangup")
    names = [name for name, leg_id in harness.leg_events() if leg_id == legs[0].id]
    assert names == ["RECORD_START", "RECORD_STOP", "CHANNEL_DESTROY"]


def test_break_stops_playback(harness: Harness, legs: tuple[Leg, Leg]) -> None:
    harness.command(legs[0].id, "play", {"id": "tune"})
    harness.command(legs[0].id, "audio_level", {"action": "start", "level": 1})
    harness.command(legs[0].id, "break")
    assert legs[0].media == {"audio level": "1"}
    harness.command(legs[0].id, "audio_level", {"action": "stop"})
    assert legs[0].media == {}


def test_break_ends_a_call_to_the_mailbox(harness: Harness) -> None:
    (call,) = harness.switchboard.calls
    harness.run_until(lambda: call.phase is Phase.RINGING)
    call.to_mailbox("NO_ANSWER")
    harness.command(call.first.id, "break")
    assert ends(harness)[call.first.id] == "NORMAL_CLEARING"
    assert len(harness.switchboard.calls) == 0


def test_a_flow(harness: Harness, legs: tuple[Leg, Leg]) -> None:
    child = {"module": "hold", "data": {}, "children": {}}
    harness.flow(legs[0].id, {"module": "tts", "data": {"text": "please wait"}, "children": {"_": child}})
    assert legs[0].media == {"playing": "please wait"}
    assert harness.leg_events() == [("CHANNEL_HOLD", legs[0].id)]


def test_a_flow_ends_where_a_module_is_not_possible(harness: Harness, legs: tuple[Leg, Leg]) -> None:
    harness.flow(legs[0].id, {"module": "unpark", "children": {"_": {"module": "hangup"}}})
    assert harness.leg_events() == []
    assert len(harness.messages) == 1


@pytest.mark.parametrize(
    ("action", "data", "reason"),
    [
        ("dance", {}, "unknown action"),
        ("transfer", {}, "target is missing"),
        ("transfer", {"target": 7}, "target is missing"),
        ("transfer", {"target": "zz zz"}, "zz zz is not a number"),
        ("intercept", {"target_type": "number", "target_id": "nonsense!!"}, "is not a number"),
        ("unpark", {}, "not parked"),
        ("resume", {}, "not on hold"),
        ("intercept", {"target_type": "user", "target_id": "no-one"}, "has no user or device"),
        ("move", {"owner_id": "no-one"}, "has no user or device"),
        ("callflow", {"id": ""}, "id is missing"),
    ],
)
def test_impossible_commands_are_refused_with_a_reason(
    harness: Harness, legs: tuple[Leg, Leg], action: str, data: dict[str, Any], reason: str
) -> None:
    harness.command(legs[0].id, action, data)
    assert harness.leg_events() == []
    assert harness.messages[-1].startswith(f"command refused: {action} for {legs[0].id}: ")
    assert reason in harness.messages[-1]


def test_a_command_for_an_unknown_call_is_refused(harness: Harness, legs: tuple[Leg, Leg]) -> None:
    harness.command("unknown@switch.example.net", "hangup")
    assert harness.leg_events() == []
    assert "no such call" in harness.messages[-1]


def test_malformed_commands_are_ignored(harness: Harness, legs: tuple[Leg, Leg]) -> None:
    call_id = legs[0].id
    bodies: list[dict[str, Any]] = [
        {},
        {"Event-Name": "flow", "Flow": 7, "Call-ID": call_id},
        {"Event-Name": "flow", "Flow": {"module": {}, "data": [], "children": 4}, "Call-ID": call_id},
        {"Call-ID": call_id, "Action": [], "Data": 3},
        {"Call-ID": [], "Event-Name": []},
    ]
    for body in bodies:
        harness.bus.publish("metaflow", "metaflow.flow.x", body)
    with capturedLogs() as logged:
        harness.settle()
    assert [event for event in logged if event["log_level"] >= LogLevel.warn] == []
    assert harness.leg_events() == []


@pytest.mark.parametrize("seed", range(12))
def test_random_commands_leave_no_leg_behind(seed: int) -> None:
    """Every leg that was created is still there, or was destroyed exactly once."""
    harness = Harness(seed=seed)
    (call,) = harness.switchboard.calls
    actions = (
        "hold",
        "resume",
        "park",
        "unpark",
        "transfer",
        "transfer",
        "intercept",
        "move",
        "callflow",
        "break",
    )
    person = call.tenant.people[seed % 8]
    for step in range(40):
        if not call.legs:
            break
        leg = call.legs[(seed * 7 + step * 3) % len(call.legs)]
        data = {"target": person.number, "target_type": "user", "target_id": person.user_id, "id": "c" * 32}
        data["transfer-type"] = ("attended", "blind")[step % 2]
        harness.command(leg.id, actions[(seed * 5 + step * step + step) % len(actions)], data)
        harness.run((seed + step) % 4)
    names = harness.leg_events()
    ended = [leg_id for name, leg_id in names if name == "CHANNEL_DESTROY"]
    assert len(ended) == len(set(ended)) > 0
    assert {leg_id for name, leg_id in names if name == "CHANNEL_CREATE"} == {
        *ended,
        *(leg.id for leg in call.legs),
    }
    harness.run(1200)
    assert call.legs == []
    harness.stop()
    assert harness.clock.getDelayedCalls() == []
