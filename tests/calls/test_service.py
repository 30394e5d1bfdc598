from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest
from zope.interface.verify import verifyObject

from kazoo_bridge.calls.command_schemas import COMMAND_SCHEMAS
from kazoo_bridge.calls.command_validation import MAX_BYTES, MAX_DEPTH
from kazoo_bridge.calls.service import CallService
from kazoo_bridge.config import Calls, Config
from kazoo_bridge.interfaces import (
    BusUnavailable,
    CommandRefused,
    IBus,
    ICalls,
    ICallWatch,
    IConsumer,
    UnknownCall,
)
from tests.calls.commands import MINIMAL_DATA, nested_flow
from tests.calls.harness import Harness, running_harness, start
from tests.calls.switch import ACCOUNT, OTHER, channel, listed


@pytest.fixture
def harness() -> Iterator[Harness]:
    with running_harness() as harness:
        harness.node.one = {
            "call-1": channel(Other_Leg_Call_ID="call-2"),
            "a.b/c d": channel("a.b/c d"),
            "lonely": channel("lonely"),
        }
        yield harness


def test_the_service_and_its_watches_provide_their_interfaces(harness: Harness) -> None:
    assert verifyObject(ICalls, harness.service)
    assert verifyObject(ICallWatch, harness.watch()[1])


def test_the_doubles_provide_their_interfaces(harness: Harness) -> None:
    assert verifyObject(IBus, harness.bus)
    assert verifyObject(IConsumer, harness.bus.consumers[-1])


def test_channels_are_listed_after_the_time_out(harness: Harness) -> None:
    harness.node.of_account = [listed("late", timestamp=20), listed("early", timestamp=10)]
    channels = start(harness.service.channels(ACCOUNT))
    harness.settle()
    assert not channels.called
    found = harness.result_of(channels, 0.5)
    assert [one["call_id"] for one in found] == ["early", "late"]


def test_channels_of_user_names_and_of_all_accounts(harness: Harness) -> None:
    harness.node.of_account = [
        listed("one", username="u1"),
        listed("two", username="u2"),
        listed("foreign", OTHER, username="u1"),
    ]
    found = harness.result_of(harness.service.user_channels(ACCOUNT, ["u1"], "a.example.com"), 0.5)
    assert [one["call_id"] for one in found] == ["one"]
    assert harness.result_of(harness.service.user_channels(ACCOUNT, [], "a.example.com")) == []
    found = harness.result_of(harness.service.all_channels(), 0.5)
    assert [one["call_id"] for one in found] == ["foreign", "one", "two"]
    assert all("account_id" not in one for one in found)
    assert len(harness.node.questions) == 2


def test_a_channel_is_found_as_soon_as_a_node_replies(harness: Harness) -> None:
    assert harness.result_of(harness.service.channel(ACCOUNT, "call-1"))["call_id"] == "call-1"
    assert harness.result_of(harness.service.channel(ACCOUNT, "unknown"), 0.5) is None
    assert harness.result_of(harness.service.channel(OTHER, "call-1"), 0.5) is None


def test_an_id_that_no_call_can_have_is_not_queried(harness: Harness) -> None:
    assert harness.result_of(harness.service.channel(ACCOUNT, "*")) is None
    assert harness.node.questions == []


@pytest.mark.parametrize("name", sorted(COMMAND_SCHEMAS))
def test_every_command_is_published_for_the_call(harness: Harness, name: str) -> None:
    assert harness.result_of(harness.command(name, MINIMAL_DATA[name])) == f"{name} initiated"
    harness.result_of(harness.service.channel(ACCOUNT, "call-1"))
    (event,) = harness.node.commands
    action = COMMAND_SCHEMAS[name].action or name
    assert (event.exchange, event.routing_key) == ("metaflow", f"metaflow.action.call-1.{action}")
    assert {
        "Event-Category": "metaflow",
        "Event-Name": "action",
        "Action": action,
        "Call-ID": "call-1",
    }.items() <= event.body.items()
    assert MINIMAL_DATA[name].items() <= event.body["Data"].items()
    assert event.body["App-Name"] == "kazoo_bridge"
    assert event.body["App-Version"]
    assert len(event.body["Msg-ID"]) == 32


@pytest.mark.parametrize(
    ("name", "action"), [("complete_transfer", "hangup"), ("cancel_transfer", "resume"), ("hangup", "hangup")]
)
def test_transfers_end_by_what_konami_understands(harness: Harness, name: str, action: str) -> None:
    assert harness.result_of(harness.command(name, {})) == f"{name} initiated"
    harness.result_of(harness.service.channel(ACCOUNT, "call-1"))
    assert [event.body["Action"] for event in harness.node.commands] == [action]


def test_the_call_id_is_encoded_in_the_routing_key(harness: Harness) -> None:
    harness.result_of(harness.command("hangup", {}, "a.b/c d"))
    harness.result_of(harness.service.channel(ACCOUNT, "call-1"))
    (event,) = harness.node.commands
    assert event.routing_key == "metaflow.action.a%2Eb%2Fc+d.hangup"
    assert event.body["Call-ID"] == "a.b/c d"


def test_a_transfer_is_blind_by_default_and_nulls_are_dropped(harness: Harness) -> None:
    harness.result_of(harness.command("transfer", {"target": "2001", "moh": None}))
    harness.result_of(harness.command("transfer", {"target": "2001", "transfer_type": "attended"}))
    harness.result_of(harness.service.channel(ACCOUNT, "call-1"))
    first, second = (event.body["Data"] for event in harness.node.commands)
    assert first == {"target": "2001", "transfer-type": "blind"}
    assert second == {"target": "2001", "transfer_type": "attended"}


def test_a_channel_without_another_leg_is_not_transferred(harness: Harness) -> None:
    error = harness.failure_of(harness.command("transfer", {"target": "2001"}, "lonely"), CommandRefused)
    assert list(error.errors) == ["other_leg_call_id"]


@pytest.mark.parametrize(
    ("name", "data", "field_name", "rule"),
    [
        ("transfer", {}, "target", "required"),
        ("transfer", {"target": ""}, "target", "minLength"),
        ("transfer", {"target": "2" * 300}, "target", "maxLength"),
        ("transfer", {"target": "2001", "transfer-type": "warm"}, "transfer-type", "enum"),
        ("callflow", {}, "id", "required"),
        ("intercept", {"target_id": "x", "target_type": "fax"}, "target_type", "enum"),
        ("intercept", {"target_type": "user"}, "target_id", "required"),
        (
            "intercept",
            {"target_type": "user", "target_id": "x", "unbridged_only": "yes"},
            "unbridged_only",
            "type",
        ),
        ("play", {"leg": "both"}, "id", "required"),
        ("say", {"text": "1", "gender": "loud"}, "gender", "enum"),
        ("tts", {"text": 5}, "text", "type"),
        ("tts", {"text": "x", "terminators": ["A"]}, "terminators.0", "enum"),
        ("record_call", {"action": "burn"}, "action", "enum"),
        ("record_call", {"time_limit": 0}, "time_limit", "minimum"),
        ("record_call", {"url": "file:///etc/passwd"}, "url", "pattern"),
        ("audio_level", {"action": "start", "level": 9}, "level", "maximum"),
        ("hold", {"unhold_key": "12"}, "unhold_key", "enum"),
        ("self_destruct", {}, "action", "enum"),
        ("hangup", {"x": "y" * MAX_BYTES}, "data", "maxLength"),
    ],
)
def test_invalid_data_are_refused_by_field_and_nothing_is_published(
    harness: Harness, name: str, data: dict[str, Any], field_name: str, rule: str
) -> None:
    error = harness.failure_of(harness.command(name, data), CommandRefused)
    assert list(error.errors) == [field_name]
    assert list(error.errors[field_name]) == [rule]
    assert error.errors[field_name][rule]["message"]
    harness.result_of(harness.service.channel(ACCOUNT, "call-1"))
    assert harness.node.commands == []


async def deny_private(url: str) -> str | None:
    return "the operator forbids it" if "//10." in url else None


def test_a_url_that_the_switch_may_not_request_is_refused_and_nothing_is_published(harness: Harness) -> None:
    harness.service._check_url = deny_private
    error = harness.failure_of(
        harness.command("record_call", {"action": "start", "url": "http://10.0.0.1/up"}), CommandRefused
    )
    assert error.errors == {"url": {"wrong_format": {"message": "the operator forbids it"}}}
    flow = {"module": "play", "data": {"id": "http://10.0.0.1/"}}
    error = harness.failure_of(harness.service.flow(ACCOUNT, "call-1", flow), CommandRefused)
    assert list(error.errors) == ["data.id"]
    harness.result_of(harness.service.channel(ACCOUNT, "call-1"))
    assert harness.node.commands == []


@pytest.mark.parametrize("media", ["one-moment", "http://8.8.8.8/a.wav"])
def test_media_and_permitted_urls_are_published(harness: Harness, media: str) -> None:
    harness.service._check_url = deny_private
    harness.result_of(harness.command("play", {"id": media}))
    harness.result_of(harness.service.channel(ACCOUNT, "call-1"))
    assert [event.body["Data"]["id"] for event in harness.node.commands] == [media]


@pytest.mark.parametrize("check_urls", [True, False])
def test_urls_are_checked_as_configured(harness: Harness, check_urls: bool) -> None:
    config = Config(calls=Calls(check_urls=check_urls))
    service = CallService.from_config(harness.clock, config, cast(IBus, harness.bus), deny_private)
    assert (service._check_url is deny_private) == check_urls


@pytest.mark.parametrize(
    ("account_id", "call_id"),
    [
        (OTHER, "call-1"),
        (ACCOUNT, "no-such-call"),
        (ACCOUNT, "*"),
        (ACCOUNT, "#"),
        (ACCOUNT, ""),
        (ACCOUNT, "." * 100),
    ],
)
def test_nothing_is_published_for_a_call_that_the_account_does_not_have(
    harness: Harness, account_id: str, call_id: str
) -> None:
    harness.node.one["*"] = channel("*")
    harness.failure_of(harness.command("hangup", {}, call_id, account_id), UnknownCall, 0.6)
    harness.failure_of(harness.service.flow(account_id, call_id, {"module": "hangup"}), UnknownCall, 0.6)
    harness.result_of(harness.service.channel(ACCOUNT, "call-1"))
    assert harness.node.commands == []


def test_a_flow_is_published_completely(harness: Harness) -> None:
    assert harness.result_of(harness.service.flow(ACCOUNT, "a.b/c d", nested_flow(15))) == "metaflow sent"
    harness.result_of(harness.service.channel(ACCOUNT, "call-1"))
    (event,) = harness.node.commands
    assert event.routing_key == "metaflow.flow.a%2Eb%2Fc+d"
    assert {
        "Event-Category": "metaflow",
        "Event-Name": "flow",
        "Call-ID": "a.b/c d",
        "Flow": nested_flow(15),
    }.items() <= event.body.items()


@pytest.mark.parametrize(
    ("flow", "field_name", "rule"),
    [
        ({}, "module", "required"),
        ({"module": ""}, "module", "minLength"),
        ({"module": "m" * 65}, "module", "maxLength"),
        ({"module": "play", "data": []}, "data", "type"),
        ({"module": "play", "children": {"1": {"data": {}}}}, "children.1.module", "required"),
        ({"module": "play", "children": {"1": "hangup"}}, "children.1", "type"),
        (
            {"module": "tts", "children": {"1": {"module": "play", "data": {"leg": "third"}}}},
            "children.1.data.leg",
            "enum",
        ),
        (nested_flow(MAX_DEPTH), "flow", "maxDepth"),
        ({"module": "tts", "data": {"x": "y" * MAX_BYTES}}, "flow", "maxLength"),
    ],
)
def test_invalid_flows_are_refused(
    harness: Harness, flow: dict[str, Any], field_name: str, rule: str
) -> None:
    error = harness.failure_of(harness.service.flow(ACCOUNT, "call-1", flow), CommandRefused)
    assert rule in error.errors[field_name]
    assert set(error.errors) == {field_name}
    harness.result_of(harness.service.channel(ACCOUNT, "call-1"))
    assert harness.node.commands == []


def test_a_command_fails_without_a_bus(harness: Harness) -> None:
    harness.bus.stopService()
    harness.failure_of(harness.command("hangup", {}), BusUnavailable, 0.6)
    harness.bus.startService()
