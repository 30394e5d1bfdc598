from __future__ import annotations

from typing import Any

import pytest

from kazoo_bridge.calls.call_state import (
    Call,
    apply_event,
    apply_reply,
    from_channel,
    unparked,
    with_state_since,
)
from kazoo_bridge.kazoo import to_gregorian
from tests.calls.switch import ACCOUNT, listed


def after(name: str, old: Call | None = None, **body: Any) -> Call:
    keys = {key.replace("_", "-"): value for key, value in body.items()}
    return apply_event(ACCOUNT, name, old, {"Call-ID": "c1", "Timestamp": 63961574400, **keys})


def test_a_new_call_has_what_its_event_says() -> None:
    call = after(
        "CHANNEL_CREATE",
        Call_Direction="inbound",
        Caller_ID_Name="Žofie",
        Caller_ID_Number="2014",
        Callee_ID_Name="Bjarne",
        Callee_ID_Number="2015",
        From="a@x",
        To="b@x",
        Other_Leg_Call_ID="c2",
        Custom_Channel_Vars={"Authorizing-ID": "d1", "Authorizing-Type": "device", "Owner-ID": "u1"},
    )
    assert call == {
        "call_id": "c1",
        "account_id": ACCOUNT,
        "timestamp": 63961574400,
        "direction": "inbound",
        "caller_id_name": "Žofie",
        "caller_id_number": "2014",
        "callee_id_name": "Bjarne",
        "callee_id_number": "2015",
        "from": "a@x",
        "to": "b@x",
        "other_leg_call_id": "c2",
        "authorizing_id": "d1",
        "authorizing_type": "device",
        "owner_id": "u1",
        "state": "ringing",
        "is_internal_leg": False,
    }


@pytest.mark.parametrize(
    ("name", "before", "body", "state"),
    [
        ("CHANNEL_CREATE", None, {}, "ringing"),
        ("CHANNEL_CREATE", None, {"Channel_Answer_State": "answered"}, "answered"),
        ("CHANNEL_ANSWER", "ringing", {}, "answered"),
        ("CHANNEL_HOLD", "answered", {}, "held"),
        ("CHANNEL_UNHOLD", "held", {}, "answered"),
        ("PARK_PARKED", "answered", {}, "parked"),
        ("PARK_RETRIEVED", "parked", {}, "answered"),
        ("PARK_ABANDONED", "parked", {}, "answered"),
        ("CHANNEL_BRIDGE", "ringing", {"Channel_Answer_State": "early"}, "ringing"),
        ("CHANNEL_BRIDGE", None, {"Channel_Answer_State": "ringing"}, "ringing"),
        ("CHANNEL_BRIDGE", "held", {"Channel_Answer_State": "early"}, "answered"),
        ("CHANNEL_BRIDGE", "ringing", {"Channel_Answer_State": "answered"}, "answered"),
        ("CHANNEL_BRIDGE", "ringing", {}, "answered"),
    ],
)
def test_the_state_after_an_event(name: str, before: str | None, body: dict[str, Any], state: str) -> None:
    old = {**after("CHANNEL_CREATE"), "state": before} if before else None
    assert after(name, old, **body)["state"] == state


def test_values_that_are_no_text_leave_the_call_as_it_is() -> None:
    old = after("CHANNEL_CREATE", To="b@x")
    assert after("CHANNEL_ANSWER", old, To=None, From=5, Caller_ID_Name="", Custom_Channel_Vars="none") == {
        **old,
        "state": "answered",
    }


@pytest.mark.parametrize(
    ("body", "timestamp"),
    [
        ({"Channel_Created_Time": 1_700_000_000_500_000}, to_gregorian(1_700_000_000)),
        ({"Channel_Created_Time": "1700000000500000"}, to_gregorian(1_700_000_000)),
        ({"Channel_Created_Time": "soon"}, 63961574400),
        ({"Channel_Created_Time": -5, "Timestamp": -5}, None),
        ({"Timestamp": None}, None),
    ],
)
def test_the_creation_time_is_the_channel_s_or_else_the_event_s(
    body: dict[str, Any], timestamp: int | None
) -> None:
    assert after("CHANNEL_CREATE", **body).get("timestamp") == timestamp


@pytest.mark.parametrize(
    ("body", "is_internal"),
    [
        ({}, False),
        ({"Channel_Is_Loopback": True}, True),
        ({"Channel_Is_Loopback": "true"}, True),
        ({"Channel_Is_Loopback": "false"}, False),
        ({"Channel_Name": "loopback/x-a"}, True),
        ({"Channel_Name": "sofia/loopback/x"}, False),
        ({"Channel_Name": 5}, False),
    ],
)
def test_loopback_legs_are_internal(body: dict[str, Any], is_internal: bool) -> None:
    assert after("CHANNEL_CREATE", **body)["is_internal_leg"] is is_internal
    old = after("CHANNEL_CREATE", Channel_Is_Loopback=not is_internal)
    expected = is_internal if body else not is_internal
    assert after("CHANNEL_ANSWER", old, **body)["is_internal_leg"] is expected


def test_a_parking_slot_is_kept_only_while_parked() -> None:
    parked = after("PARK_PARKED", Parking_Slot="101")
    assert parked["parking_slot"] == "101"
    assert "parking_slot" not in after("CHANNEL_HOLD", parked)
    assert "parking_slot" not in apply_reply(ACCOUNT, parked, from_normalized(is_onhold=True))
    assert unparked(parked) == {**after("CHANNEL_ANSWER", parked)}


def from_normalized(**more: Any) -> dict[str, Any]:
    return {**listed("c1"), "call_id": "c1", **more}


def test_a_reply_does_not_end_parking() -> None:
    parked = after("PARK_PARKED", Parking_Slot="101")
    call = apply_reply(ACCOUNT, parked, from_normalized())
    assert (call["state"], call["parking_slot"]) == ("parked", "101")


def test_a_reply_keeps_what_it_lacks_except_for_the_other_leg() -> None:
    old = after("CHANNEL_ANSWER", Caller_ID_Name="Žofie", Other_Leg_Call_ID="c2")
    call = apply_reply(ACCOUNT, old, from_normalized())
    assert call["caller_id_name"] == "Žofie"
    assert "other_leg_call_id" not in call


@pytest.mark.parametrize(
    ("data", "state"),
    [
        ({"answered": True}, "answered"),
        ({"answered": "true"}, "answered"),
        ({"answered": False}, "ringing"),
        ({}, "ringing"),
        ({"answered": True, "is_onhold": True}, "held"),
        ({"answered": True, "is_on_hold": "true"}, "held"),
        ({"answered": True, "is_on_hold": False, "is_onhold": True}, "answered"),
    ],
)
def test_the_state_of_a_channel(data: dict[str, Any], state: str) -> None:
    assert from_channel(ACCOUNT, {"call_id": "c1", **data})["state"] == state


def test_both_spellings_of_channels_are_read() -> None:
    of_account = from_channel(
        ACCOUNT, {"call_id": "c1", "direction": "inbound", "destination": "2001", "other_leg": "c2"}
    )
    single = from_channel(
        ACCOUNT, {"call_id": "c1", "call_direction": "inbound", "to": "2001", "other_leg_call_id": "c2"}
    )
    assert of_account == single
    assert of_account["to"] == "2001"


def test_recording_is_shown_and_changes_no_state() -> None:
    for state in ("ringing", "answered", "held", "parked"):
        call = after("RECORD_START", {"call_id": "c1", "state": state})
        assert (call["state"], call["recording"]) == (state, True)
        assert "recording" not in after("RECORD_STOP", call)
    assert after("RECORD_START", Channel_Answer_State="answered")["state"] == "answered"


@pytest.mark.parametrize(("direction", "party"), [("inbound", "callee"), ("outbound", "caller")])
def test_a_parked_call_shows_the_party_that_it_was_connected_to(direction: str, party: str) -> None:
    names = {"caller_id_name": "caller", "callee_id_name": "callee", "callee_id_number": "2001"}
    old = {"call_id": "c1", "state": "answered", "direction": direction, "other_leg_call_id": "c2", **names}
    call = after("PARK_PARKED", old, Callee_ID_Name="*3101", Parking_Slot="101")
    assert call["parked_by_name"] == party
    assert call.get("parked_by_number") == ("2001" if party == "callee" else None)
    assert "parked_by_name" not in after("PARK_RETRIEVED", call)
    assert "parked_by_name" not in unparked(call)


@pytest.mark.parametrize(
    "old", [{"state": "ringing", "other_leg_call_id": "c2"}, {"state": "answered"}, None]
)
def test_without_another_leg_it_is_not_known_who_has_parked(old: Any) -> None:
    call = after("PARK_PARKED", old and {"call_id": "c1", "callee_id_name": "Bjarne", **old})
    assert "parked_by_name" not in call


def test_the_time_in_state_begins_with_each_change() -> None:
    ringing = with_state_since(None, {"call_id": "c1", "state": "ringing"}, 100)
    assert ringing["state_since"] == to_gregorian(100)
    assert with_state_since(ringing, {**ringing, "to": "2001"}, 150)["state_since"] == to_gregorian(100)
    answered = with_state_since(ringing, {**ringing, "state": "answered"}, 160)
    assert answered["state_since"] == to_gregorian(160)


def test_the_time_in_state_of_a_call_that_was_not_known_before() -> None:
    ringing = with_state_since(None, {"call_id": "c1", "state": "ringing", "timestamp": 7}, None)
    assert ringing["state_since"] == 7
    answered = with_state_since(None, {"call_id": "c1", "state": "answered", "timestamp": 7}, None)
    assert "state_since" not in answered
    assert "state_since" not in with_state_since(answered, dict(answered), 100)
    assert with_state_since(answered, {**answered, "state": "held"}, 100)["state_since"] == to_gregorian(100)
