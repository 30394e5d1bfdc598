"""What commands to calls bring about."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from twisted.logger import LogLevel, globalLogPublisher

from kazoo_bridge.demo.call import Call, Phase
from kazoo_bridge.demo.leg import Leg
from tests.demo.stage import Stage


@pytest.fixture
def stage() -> Iterator[Stage]:
    made = Stage()
    yield made
    made.stop()
    assert made.clock.getDelayedCalls() == []


@pytest.fixture
def call(stage: Stage) -> Call:
    return stage.talking()


@pytest.fixture
def legs(call: Call) -> tuple[Leg, Leg]:
    assert call.second is not None
    return call.first, call.second


def ends(stage: Stage) -> dict[str, str]:
    """Hangup causes of the legs that have gone, by id."""
    return {
        event.body["Call-ID"]: event.body["Hangup-Cause"]
        for event in stage.call_events()
        if event.name == "CHANNEL_DESTROY"
    }


def created(stage: Stage) -> list[dict[str, Any]]:
    return [dict(event.body) for event in stage.call_events() if event.name == "CHANNEL_CREATE"]


@pytest.mark.parametrize("which", [0, 1])
def test_hangup(stage: Stage, legs: tuple[Leg, Leg], which: int) -> None:
    stage.run(7)
    stage.command(legs[which].id, "hangup")
    assert ends(stage) == {leg.id: "NORMAL_CLEARING" for leg in legs}
    for event in stage.call_events():
        assert event.body["Billing-Seconds"] >= 7
        assert event.body["Hangup-Code"] == "sip:200"
    assert len(stage.switchboard.live) == 0
    assert stage.said[-1].startswith("command obeyed: hangup")


@pytest.mark.parametrize("which", [0, 1])
def test_hold_and_resume(stage: Stage, legs: tuple[Leg, Leg], call: Call, which: int) -> None:
    leg_id = legs[which].id
    stage.command(leg_id, "hold")
    assert stage.told() == [("CHANNEL_HOLD", leg_id)]
    stage.run(30)
    assert call.phase is Phase.HELD
    stage.command(leg_id, "resume")
    assert stage.told() == [("CHANNEL_HOLD", leg_id), ("CHANNEL_UNHOLD", leg_id)]
    assert call.phase is Phase.TALKING


def test_a_hold_that_is_forgotten_ends(stage: Stage, legs: tuple[Leg, Leg]) -> None:
    stage.command(legs[0].id, "hold")
    stage.run(130)
    assert ("CHANNEL_UNHOLD", legs[0].id) in stage.told()


def test_unhold_is_another_word_for_resume(stage: Stage, legs: tuple[Leg, Leg]) -> None:
    stage.command(legs[0].id, "hold")
    stage.command(legs[0].id, "unhold")
    assert stage.told()[-1] == ("CHANNEL_UNHOLD", legs[0].id)


def test_hold_of_what_is_on_hold_is_refused(stage: Stage, legs: tuple[Leg, Leg]) -> None:
    stage.command(legs[0].id, "hold")
    stage.command(legs[0].id, "hold")
    assert stage.told() == [("CHANNEL_HOLD", legs[0].id)]
    assert stage.said[-1] == f"command refused: hold for {legs[0].id}: nobody talks"


@pytest.mark.parametrize("which", [0, 1])
def test_park_and_unpark(stage: Stage, legs: tuple[Leg, Leg], call: Call, which: int) -> None:
    parked, other = legs[which], legs[1 - which]
    stage.command(parked.id, "park")
    assert stage.told() == [("CHANNEL_DESTROY", other.id), ("PARK_PARKED", parked.id)]
    assert stage.call_events()[-1].body["Parking-Slot"] == "101"
    stage.passed.clear()
    stage.command(parked.id, "unpark")
    (fetching,) = created(stage)
    assert ("PARK_RETRIEVED", parked.id) in stage.told()
    assert stage.told()[-1] == ("CHANNEL_BRIDGE", parked.id)
    assert stage.call_events()[-1].body["Other-Leg-Call-ID"] == fetching["Call-ID"]
    assert call.phase is Phase.TALKING


def test_a_parked_call_that_is_hung_up_is_abandoned(stage: Stage, legs: tuple[Leg, Leg]) -> None:
    stage.command(legs[0].id, "park")
    stage.passed.clear()
    stage.command(legs[0].id, "hangup")
    assert stage.told() == [("PARK_ABANDONED", legs[0].id), ("CHANNEL_DESTROY", legs[0].id)]


@pytest.mark.parametrize(("leg", "kept"), [(None, 1), ("self", 1), ("bleg", 0), ("peer", 0)])
def test_blind_transfer(stage: Stage, legs: tuple[Leg, Leg], call: Call, leg: str | None, kept: int) -> None:
    target = stage.switchboard.live.colleague(call)
    stage.command(legs[0].id, "transfer", {"target": target.number, **({"leg": leg} if leg else {})})
    stays, goes = legs[kept], legs[1 - kept]
    assert ends(stage) == {goes.id: "BLIND_TRANSFER"}
    (ringing,) = created(stage)
    assert (ringing["Callee-ID-Number"], ringing["Callee-ID-Name"]) == (target.number, target.name)
    assert ringing["Other-Leg-Call-ID"] == stays.id
    assert ringing["Custom-Channel-Vars"]["Owner-ID"] == target.user_id
    stage.run(5)
    assert stage.told()[-2:] == [("CHANNEL_ANSWER", ringing["Call-ID"]), ("CHANNEL_BRIDGE", stays.id)]
    assert call.legs[1].party == target


def test_attended_transfer(stage: Stage, legs: tuple[Leg, Leg], call: Call) -> None:
    target = stage.switchboard.live.colleague(call)
    stage.command(legs[0].id, "transfer", {"target": target.number, "transfer-type": "attended"})
    (ringing,) = created(stage)
    assert stage.told() == [("CHANNEL_HOLD", legs[1].id), ("CHANNEL_CREATE", ringing["Call-ID"])]
    assert set(call.legs) > set(legs)
    stage.run(5)
    assert ends(stage) == {legs[0].id: "ATTENDED_TRANSFER"}
    assert {leg.id for leg in call.legs} == {legs[1].id, ringing["Call-ID"]}
    assert ("CHANNEL_UNHOLD", legs[1].id) in stage.told()
    assert stage.told()[-1] == ("CHANNEL_BRIDGE", legs[1].id)


def test_an_attended_transfer_is_called_off(stage: Stage, legs: tuple[Leg, Leg], call: Call) -> None:
    target = stage.switchboard.live.colleague(call)
    stage.command(legs[0].id, "transfer", {"target": target.number, "transfer-type": "attended"})
    stage.command(legs[0].id, "resume")
    (ringing,) = created(stage)
    assert ends(stage) == {ringing["Call-ID"]: "ORIGINATOR_CANCEL"}
    assert set(call.legs) == set(legs)
    assert call.phase is Phase.TALKING


def test_transfer_to_the_outside(stage: Stage, legs: tuple[Leg, Leg]) -> None:
    stage.command(legs[0].id, "transfer", {"target": "+15555550199"})
    (ringing,) = created(stage)
    assert ringing["To"] == "+15555550199@carrier.example.net"
    assert "Authorizing-ID" not in ringing["Custom-Channel-Vars"]


@pytest.mark.parametrize(
    ("kind", "attribute"), [("user", "user_id"), ("device", "device_id"), ("number", "number")]
)
def test_intercept(stage: Stage, legs: tuple[Leg, Leg], call: Call, kind: str, attribute: str) -> None:
    target = stage.switchboard.live.colleague(call)
    stage.command(legs[0].id, "intercept", {"target_type": kind, "target_id": getattr(target, attribute)})
    assert ends(stage) == {legs[1].id: "NORMAL_CLEARING"}
    assert [leg.party for leg in call.legs] == [legs[0].party, target]
    assert stage.told()[-1] == ("CHANNEL_BRIDGE", legs[0].id)


def test_intercept_of_the_unbridged_only(stage: Stage, legs: tuple[Leg, Leg], call: Call) -> None:
    target = stage.switchboard.live.colleague(call)
    stage.command(
        legs[0].id, "intercept", {"target_type": "user", "target_id": target.user_id, "unbridged_only": True}
    )
    assert stage.told() == []
    assert "bridged already" in stage.said[-1]


def test_intercept_while_it_rings(stage: Stage) -> None:
    (call,) = stage.switchboard.live
    call.commanded = True
    stage.run_until(lambda: call.phase is Phase.RINGING)
    first, ringing, target = call.first, call.ringing, stage.switchboard.live.colleague(call)
    assert ringing is not None
    stage.passed.clear()
    stage.command(
        first.id, "intercept", {"target_type": "user", "target_id": target.user_id, "unbridged_only": True}
    )
    assert ends(stage) == {ringing.id: "NORMAL_CLEARING"}
    assert [leg.party for leg in call.legs] == [first.party, target]


def test_move(stage: Stage, legs: tuple[Leg, Leg], call: Call) -> None:
    target = stage.switchboard.live.colleague(call)
    stage.command(legs[1].id, "move", {"device_id": target.device_id})
    assert ends(stage) == {legs[1].id: "NORMAL_CLEARING"}
    assert [leg.party for leg in call.legs] == [legs[0].party, target]
    assert stage.told()[-1] == ("CHANNEL_BRIDGE", legs[0].id)


def test_callflow(stage: Stage, legs: tuple[Leg, Leg]) -> None:
    flow_id = "0f" * 16
    stage.command(legs[0].id, "callflow", {"id": flow_id})
    assert ends(stage) == {legs[1].id: "BLIND_TRANSFER"}
    assert [leg["Custom-Channel-Vars"]["CallFlow-ID"] for leg in created(stage)] == [flow_id]
    stage.run(5)
    assert stage.told()[-1] == ("CHANNEL_BRIDGE", legs[0].id)


@pytest.mark.parametrize(
    ("action", "data", "becomes"),
    [
        ("play", {"id": "/media/quarry"}, {"playing": "/media/quarry"}),
        ("say", {"text": "412"}, {"playing": "412"}),
        ("tts", {"text": "the lift is out of order"}, {"playing": "the lift is out of order"}),
        ("record_call", {"action": "start"}, {"recording": "on"}),
        ("record_call", {"action": "toggle"}, {"recording": "on"}),
        ("record_call", {"action": "mask"}, {"recording": "off"}),
        ("audio_level", {"action": "start", "level": -2}, {"audio level": "-2"}),
    ],
)
def test_what_is_only_heard(
    stage: Stage, legs: tuple[Leg, Leg], action: str, data: dict[str, Any], becomes: dict[str, str]
) -> None:
    stage.command(legs[1].id, action, data)
    assert stage.told() == []
    assert legs[1].media == becomes
    ((what, how),) = becomes.items()
    assert stage.said[-1].endswith(f"{legs[1].id}: the call is talking; {what} {how}")


def test_a_recording_from_start_to_end(stage: Stage, legs: tuple[Leg, Leg]) -> None:
    states = []
    for action in ("start", "mask", "unmask", "stop", "toggle", "toggle"):
        stage.command(legs[0].id, "record_call", {"action": action})
        states.append(legs[0].media["recording"])
    assert states == ["on", "masked", "on", "off", "on", "off"]


def test_break_ends_what_is_played(stage: Stage, legs: tuple[Leg, Leg]) -> None:
    stage.command(legs[0].id, "play", {"id": "tune"})
    stage.command(legs[0].id, "audio_level", {"action": "start", "level": 1})
    stage.command(legs[0].id, "break")
    assert legs[0].media == {"audio level": "1"}
    stage.command(legs[0].id, "audio_level", {"action": "stop"})
    assert legs[0].media == {}


def test_break_ends_a_visit_to_the_mailbox(stage: Stage) -> None:
    (call,) = stage.switchboard.live
    stage.run_until(lambda: call.phase is Phase.RINGING)
    call.to_mailbox("NO_ANSWER")
    stage.command(call.first.id, "break")
    assert ends(stage)[call.first.id] == "NORMAL_CLEARING"
    assert len(stage.switchboard.live) == 0


def test_a_flow(stage: Stage, legs: tuple[Leg, Leg]) -> None:
    child = {"module": "hold", "data": {}, "children": {}}
    stage.flow(legs[0].id, {"module": "tts", "data": {"text": "please wait"}, "children": {"_": child}})
    assert legs[0].media == {"playing": "please wait"}
    assert stage.told() == [("CHANNEL_HOLD", legs[0].id)]


def test_a_flow_ends_where_a_module_is_not_possible(stage: Stage, legs: tuple[Leg, Leg]) -> None:
    stage.flow(legs[0].id, {"module": "unpark", "children": {"_": {"module": "hangup"}}})
    assert stage.told() == []
    assert len(stage.said) == 1


@pytest.mark.parametrize(
    ("action", "data", "why"),
    [
        ("dance", {}, "does not know"),
        ("transfer", {}, "target is missing"),
        ("transfer", {"target": 7}, "target is missing"),
        ("unpark", {}, "not parked"),
        ("resume", {}, "nobody is on hold"),
        ("intercept", {"target_type": "user", "target_id": "nobody"}, "has nobody"),
        ("move", {"owner_id": "nobody"}, "has nobody"),
        ("callflow", {"id": ""}, "id is missing"),
    ],
)
def test_refusals(stage: Stage, legs: tuple[Leg, Leg], action: str, data: dict[str, Any], why: str) -> None:
    stage.command(legs[0].id, action, data)
    assert stage.told() == []
    assert stage.said[-1].startswith(f"command refused: {action} for {legs[0].id}: ")
    assert why in stage.said[-1]


def test_a_call_that_is_not_there(stage: Stage, legs: tuple[Leg, Leg]) -> None:
    stage.command("somebody-else@switch.example.net", "hangup")
    assert stage.told() == []
    assert "no such call" in stage.said[-1]


def test_nonsense_harms_nobody(stage: Stage, legs: tuple[Leg, Leg]) -> None:
    complaints: list[Any] = []

    def observe(event: Any) -> None:
        if event["log_level"] >= LogLevel.warn:
            complaints.append(event)

    globalLogPublisher.addObserver(observe)
    mine = legs[0].id
    for body in (
        {},
        {"Event-Name": "flow", "Flow": 7, "Call-ID": mine},
        {"Event-Name": "flow", "Flow": {"module": {}, "data": [], "children": 4}, "Call-ID": mine},
        {"Call-ID": mine, "Action": [], "Data": 3},
        {"Call-ID": [], "Event-Name": []},
    ):
        stage.bus.publish("metaflow", "metaflow.flow.x", body)
    stage.pump()
    globalLogPublisher.removeObserver(observe)
    assert complaints == []
    assert stage.told() == []


@pytest.mark.parametrize("seed", range(12))
def test_any_commands_at_any_time_leave_a_call_in_order(seed: int) -> None:
    """Every leg that has been created is there, or has been destroyed once."""
    stage = Stage(seed=seed)
    (call,) = stage.switchboard.live
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
    for turn in range(40):
        if not call.legs:
            break
        leg = call.legs[(seed * 7 + turn * 3) % len(call.legs)]
        data = {"target": person.number, "target_type": "user", "target_id": person.user_id, "id": "c" * 32}
        data["transfer-type"] = ("attended", "blind")[turn % 2]
        stage.command(leg.id, actions[(seed * 5 + turn * turn + turn) % len(actions)], data)
        stage.run((seed + turn) % 4)
    told = stage.told()
    gone = [leg_id for name, leg_id in told if name == "CHANNEL_DESTROY"]
    assert len(gone) == len(set(gone)) > 0
    assert {leg_id for name, leg_id in told if name == "CHANNEL_CREATE"} == {
        *gone,
        *(leg.id for leg in call.legs),
    }
    stage.run(1200)
    assert call.legs == []
    stage.stop()
    assert stage.clock.getDelayedCalls() == []
