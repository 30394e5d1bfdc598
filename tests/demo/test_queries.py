from __future__ import annotations

from collections.abc import Iterator

import pytest

from kazoo_bridge.demo.call import Call
from kazoo_bridge.kazoo import encode_key_part, to_gregorian
from tests.demo.harness import Harness

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
def harness() -> Iterator[Harness]:
    harness = Harness()
    yield harness
    harness.stop()


@pytest.fixture
def call(harness: Harness) -> Call:
    return harness.connect_call()


def test_the_channels_of_an_account(harness: Harness, call: Call) -> None:
    (reply,) = harness.query("query_account_channels_req", Account_ID=call.tenant.id)
    assert reply.name == "query_account_channels_resp"
    channels = {channel["uuid"]: channel for channel in reply.body["Channels"]}
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


def test_another_account_has_none(harness: Harness, call: Call) -> None:
    other = next(tenant for tenant in harness.tenants if tenant is not call.tenant)
    (reply,) = harness.query("query_account_channels_req", Account_ID=other.id)
    assert reply.body["Channels"] == []


def test_a_held_channel_says_so(harness: Harness, call: Call) -> None:
    harness.command(call.first.id, "hold")
    (reply,) = harness.query("query_channels_req", Call_ID=call.first.id, Fields="all", Active_Only=True)
    assert reply.body["Channels"][call.first.id]["Is-On-Hold"] is True


def test_one_channel_among_all(harness: Harness, call: Call) -> None:
    (reply,) = harness.query("query_channels_req", Call_ID=call.first.id, Fields="all", Active_Only=True)
    assert reply.name == "query_channels_resp"
    assert set(reply.body["Channels"]) == {call.first.id}
    assert reply.body["Channels"][call.first.id]["Account-ID"] == call.tenant.id


def test_all_channels_and_some_fields(harness: Harness, call: Call) -> None:
    (reply,) = harness.query("query_channels_req", Fields=["Call-ID", "Realm"])
    assert reply.body["Channels"] == {
        leg.id: {"Call-ID": leg.id, "Realm": call.tenant.realm} for leg in call.legs
    }


def test_the_channels_of_a_user(harness: Harness, call: Call) -> None:
    inside = next(leg for leg in call.legs if leg.party.inside)
    name = inside.variables()["Username"]
    (reply,) = harness.query("query_user_channels_req", Realm=call.tenant.realm, Username=name)
    assert {channel["uuid"] for channel in reply.body["Channels"]} == {inside.id}


def test_an_unknown_channel(harness: Harness, call: Call) -> None:
    assert harness.query("query_channels_req", Call_ID="unknown", Active_Only=True) == []
    (reply,) = harness.query("query_channels_req", Call_ID="unknown", Active_Only=False)
    assert reply.body["Channels"] == {}


def test_the_status_of_a_channel(harness: Harness, call: Call) -> None:
    (reply,) = harness.query("channel_status_req", encode_key_part(call.first.id), Call_ID=call.first.id)
    assert (reply.name, reply.body["Status"]) == ("channel_status_resp", "active")
    assert reply.body["Custom-Channel-Vars"]["Account-ID"] == call.tenant.id
    harness.command(call.first.id, "hangup")
    (reply,) = harness.query("channel_status_req", encode_key_part(call.first.id), Call_ID=call.first.id)
    assert reply.body["Status"] == "terminated"
    assert harness.query("channel_status_req", "x", Call_ID=call.first.id, Active_Only=True) == []
