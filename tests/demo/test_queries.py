"""Who asks the switchboard for channels is answered as KAZOO's switches answer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kazoo_bridge.demo.call import Call
from kazoo_bridge.kazoo import encode_key_part, to_gregorian
from tests.demo.stage import Stage

_FIELDS = {
    *(
        "Account-ID",
        "Answered",
        "Authorizing-ID",
        "Authorizing-Type",
        "Bridge-ID",
        "Call-Direction",
        "Call-ID",
        "CallFlow-ID",
    ),
    *(
        "Callee-ID-Name",
        "Callee-ID-Number",
        "Caller-ID-Name",
        "Caller-ID-Number",
        "Channel-Authorized",
        "Custom-Application-Vars",
    ),
    *(
        "Custom-Channel-Vars",
        "Destination",
        "Elapsed-Seconds",
        "From",
        "Is-Loopback",
        "Is-On-Hold",
        "Other-Leg-Call-ID",
        "Owner-ID",
    ),
    *("Presence-ID", "Realm", "To", "Timestamp", "Username"),
}


@pytest.fixture
def stage() -> Iterator[Stage]:
    made = Stage()
    yield made
    made.stop()


@pytest.fixture
def call(stage: Stage) -> Call:
    return stage.talking()


def test_the_channels_of_an_account(stage: Stage, call: Call) -> None:
    (answer,) = stage.ask("query_account_channels_req", Account_ID=call.tenant.id)
    assert answer.name == "query_account_channels_resp"
    channels = {channel["uuid"]: channel for channel in answer.body["Channels"]}
    assert set(channels) == {leg.id for leg in call.legs}
    inside = next(leg for leg in call.legs if leg.party.inside)
    channel, other = channels[inside.id], call.other(inside)
    assert other is not None
    assert channel.keys() >= _FIELDS
    assert channel["Other-Leg-Call-ID"] == other.id
    assert channel["Owner-ID"] == inside.party.user_id
    assert channel["Timestamp"] == to_gregorian(inside.created)
    assert channel["Answered"] is True
    assert channel["Is-On-Hold"] is False


def test_another_account_has_none(stage: Stage, call: Call) -> None:
    other = next(tenant for tenant in stage.tenants if tenant is not call.tenant)
    (answer,) = stage.ask("query_account_channels_req", Account_ID=other.id)
    assert answer.body["Channels"] == []


def test_a_hold_is_seen(stage: Stage, call: Call) -> None:
    stage.command(call.first.id, "hold")
    (answer,) = stage.ask("query_channels_req", Call_ID=call.first.id, Fields="all", Active_Only=True)
    assert answer.body["Channels"][call.first.id]["Is-On-Hold"] is True


def test_one_channel_among_all(stage: Stage, call: Call) -> None:
    (answer,) = stage.ask("query_channels_req", Call_ID=call.first.id, Fields="all", Active_Only=True)
    assert answer.name == "query_channels_resp"
    assert set(answer.body["Channels"]) == {call.first.id}
    assert answer.body["Channels"][call.first.id]["Account-ID"] == call.tenant.id


def test_all_channels_and_some_fields(stage: Stage, call: Call) -> None:
    (answer,) = stage.ask("query_channels_req", Fields=["Call-ID", "Realm"])
    assert answer.body["Channels"] == {
        leg.id: {"Call-ID": leg.id, "Realm": call.tenant.realm} for leg in call.legs
    }


def test_the_channels_of_a_user(stage: Stage, call: Call) -> None:
    inside = next(leg for leg in call.legs if leg.party.inside)
    name = inside.variables()["Username"]
    (answer,) = stage.ask("query_user_channels_req", Realm=call.tenant.realm, Username=name)
    assert {channel["uuid"] for channel in answer.body["Channels"]} == {inside.id}


def test_an_unknown_channel(stage: Stage, call: Call) -> None:
    assert stage.ask("query_channels_req", Call_ID="nobody", Active_Only=True) == []
    (answer,) = stage.ask("query_channels_req", Call_ID="nobody", Active_Only=False)
    assert answer.body["Channels"] == {}


def test_the_status_of_a_channel(stage: Stage, call: Call) -> None:
    (answer,) = stage.ask("channel_status_req", encode_key_part(call.first.id), Call_ID=call.first.id)
    assert (answer.name, answer.body["Status"]) == ("channel_status_resp", "active")
    assert answer.body["Custom-Channel-Vars"]["Account-ID"] == call.tenant.id
    stage.command(call.first.id, "hangup")
    (answer,) = stage.ask("channel_status_req", encode_key_part(call.first.id), Call_ID=call.first.id)
    assert answer.body["Status"] == "terminated"
    assert stage.ask("channel_status_req", "x", Call_ID=call.first.id, Active_Only=True) == []
