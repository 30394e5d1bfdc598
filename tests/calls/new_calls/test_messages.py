from __future__ import annotations

from kazoo_bridge.calls.new_calls.endpoints import SipEndpoint
from kazoo_bridge.calls.new_calls.messages import (
    eavesdrop,
    make_call_id,
    originate_from_number,
    originate_from_telephones,
)
from kazoo_bridge.calls.new_calls.request import EavesdropRequest, OriginateRequest
from tests.calls.switch import ACCOUNT

REALM = "pbx.example.com"


def test_call_ids_differ_and_say_what_they_are() -> None:
    first, second = make_call_id("quickcall"), make_call_id("quickcall")
    assert first != second
    assert first.endswith("-quickcall")


def test_telephones_ring_like_with_quickcall() -> None:
    request = OriginateRequest("user", "u1", "2003", timeout_s=20, auto_answer=True)
    endpoints = [SipEndpoint("ada", REALM, "d1", "u1"), SipEndpoint("ada-soft", REALM)]
    exchange, routing_key, body = originate_from_telephones(ACCOUNT, request, endpoints, ["c1", "c2"])
    assert (exchange, routing_key) == ("callmgr", "originate.resource.req")
    listed = body.pop("Endpoints")
    assert listed == [
        {
            "Invite-Format": "username",
            "Endpoint-Type": "sip",
            "To-User": "ada",
            "To-Username": "ada",
            "To-Realm": REALM,
            "Outbound-Call-ID": "c1",
            "Endpoint-Timeout": 20,
            "Endpoint-ID": "d1",
            "Custom-Channel-Vars": {
                "Account-ID": ACCOUNT,
                "Authorizing-ID": "d1",
                "Authorizing-Type": "device",
                "Owner-ID": "u1",
            },
        },
        {
            "Invite-Format": "username",
            "Endpoint-Type": "sip",
            "To-User": "ada-soft",
            "To-Username": "ada-soft",
            "To-Realm": REALM,
            "Outbound-Call-ID": "c2",
            "Endpoint-Timeout": 20,
            "Custom-Channel-Vars": {"Account-ID": ACCOUNT},
        },
    ]
    assert body.pop("Export-Custom-Channel-Vars")
    assert body == {
        "Event-Category": "resource",
        "Event-Name": "originate_req",
        "Application-Name": "transfer",
        "Application-Data": {"Route": "2003"},
        "Continue-On-Fail": False,
        "Custom-Channel-Vars": {
            "Account-ID": ACCOUNT,
            "Inherit-Codec": "false",
            "Authorizing-ID": "u1",
            "Authorizing-Type": "user",
            "Retain-CID": "false",
        },
        "Dial-Endpoint-Method": "simultaneous",
        "Ignore-Early-Media": True,
        "Media": "process",
        "Outbound-Call-ID": "c1",
        "Outbound-Caller-ID-Name": "2003",
        "Outbound-Caller-ID-Number": "2003",
        "Timeout": 20,
    }


def test_one_telephone_can_answer_by_itself_and_the_caller_can_be_named() -> None:
    request = OriginateRequest("device", "d1", "2003", "Ada", "+15555550100", auto_answer=True)
    _, _, body = originate_from_telephones(ACCOUNT, request, [SipEndpoint("ada", REALM, "d1")], ["c1"])
    assert body["Endpoints"][0]["Custom-Channel-Vars"]["Auto-Answer"] is True
    assert (body["Outbound-Callee-ID-Name"], body["Outbound-Callee-ID-Number"]) == ("Ada", "+15555550100")
    assert body["Custom-Channel-Vars"]["Retain-CID"] == "true"


def test_a_number_is_called_by_the_switch_itself() -> None:
    request = OriginateRequest("number", "+4930123456", "2003")
    exchange, routing_key, body = originate_from_number(ACCOUNT, REALM, request, "c1")
    assert (exchange, routing_key) == ("callmgr", "originate.resource.req")
    (endpoint,) = body["Endpoints"]
    assert {
        "Invite-Format": "loopback",
        "Route": "+4930123456",
        "To-Realm": REALM,
    }.items() <= endpoint.items()
    assert endpoint["Outbound-Call-ID"] == body["Outbound-Call-ID"] == "c1"
    assert body["Application-Data"] == {"Route": "2003"}
    assert body["Custom-Channel-Vars"]["Account-ID"] == ACCOUNT


def test_an_unknown_realm_is_left_out() -> None:
    request = OriginateRequest("number", "2001", "2003")
    (endpoint,) = originate_from_number(ACCOUNT, "", request, "c1")[2]["Endpoints"]
    assert "To-Realm" not in endpoint
    assert set(endpoint["Custom-Channel-Vars"]) == {"Account-ID", "Authorizing-ID", "Authorizing-Type"}


def test_listening_in() -> None:
    request = EavesdropRequest("c9", "device", "d1", "whisper", 15)
    assert eavesdrop(ACCOUNT, request, "d1") == (
        "callmgr",
        "eavesdrop.resource.req",
        {
            "Event-Category": "resource",
            "Event-Name": "eavesdrop_req",
            "Account-ID": ACCOUNT,
            "Endpoint-ID": "d1",
            "Eavesdrop-Call-ID": "c9",
            "Eavesdrop-Mode": "whisper",
            "Endpoint-Timeout": 15,
        },
    )
