from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
from attrs import define, evolve
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from kazoo_bridge.bus.embedded import EmbeddedBus
from kazoo_bridge.calls.command_schemas import COMMAND_SCHEMAS
from kazoo_bridge.calls.command_validation import MAX_BYTES, MAX_DEPTH, validate_command, validate_flow
from kazoo_bridge.calls.service import CallService
from kazoo_bridge.config import Calls, Config
from kazoo_bridge.interfaces import BusUnavailable, CommandRefused, UnknownCall
from tests.calls.switch import ACCOUNT, OTHER, SwitchNode, channel

_now = SynchronousTestCase()

#: The least that each action takes.
LEAST: dict[str, dict[str, Any]] = {name: {} for name in COMMAND_SCHEMAS} | {
    "audio_level": {"action": "start"},
    "callflow": {"id": "5" * 32},
    "intercept": {"target_type": "user", "target_id": "6" * 32},
    "play": {"id": "welcome"},
    "say": {"text": "2001"},
    "transfer": {"target": "2001"},
    "tts": {"text": "One moment"},
}


@define
class Scene:
    clock: Clock
    bus: EmbeddedBus
    node: SwitchNode
    room: CallService

    def settled(self, result: Deferred[Any], seconds: float = 0) -> Any:
        """What the Deferred fires with, after letting the bus deliver."""
        for _ in range(10):
            self.clock.advance(0)
        self.clock.advance(seconds)
        return _now.successResultOf(result)

    def failed(self, result: Deferred[Any], kind: type[BaseException], seconds: float = 0) -> Any:
        for _ in range(10):
            self.clock.advance(0)
        self.clock.advance(seconds)
        return _now.failureResultOf(result, kind).value

    def command(
        self, name: str, data: dict[str, Any], call_id: str = "call-1", account_id: str = ACCOUNT
    ) -> Deferred[str]:
        return self.room.command(account_id, call_id, name, data)


@pytest.fixture
def scene() -> Iterator[Scene]:
    clock = Clock()
    bus = EmbeddedBus(clock)
    node = SwitchNode(
        bus,
        {
            "call-1": channel(Other_Leg_Call_ID="call-2"),
            "a.b/c d": channel("a.b/c d"),
            "lonely": channel("lonely"),
        },
    )
    bus.startService()
    room = CallService.from_config(clock, evolve(Config(), calls=Calls(query_timeout_ms=500)), bus)
    yield Scene(clock, bus, node, room)
    bus.stopService()


@pytest.mark.parametrize("name", sorted(COMMAND_SCHEMAS))
def test_every_action_is_sent_to_the_call(scene: Scene, name: str) -> None:
    assert scene.settled(scene.command(name, LEAST[name])) == f"{name} initiated"
    scene.settled(scene.room.channel(ACCOUNT, "call-1"))
    (event,) = scene.node.commands
    assert (event.exchange, event.routing_key) == ("metaflow", f"metaflow.action.call-1.{name}")
    assert {
        "Event-Category": "metaflow",
        "Event-Name": "action",
        "Action": name,
        "Call-ID": "call-1",
    }.items() <= event.body.items()
    assert LEAST[name].items() <= event.body["Data"].items()
    assert event.body["App-Name"] == "kazoo_bridge"
    assert event.body["App-Version"]
    assert len(event.body["Msg-ID"]) == 32


def test_the_call_id_is_encoded_in_the_key(scene: Scene) -> None:
    scene.settled(scene.command("hangup", {}, "a.b/c d"))
    scene.settled(scene.room.channel(ACCOUNT, "call-1"))
    (event,) = scene.node.commands
    assert event.routing_key == "metaflow.action.a%2Eb%2Fc+d.hangup"
    assert event.body["Call-ID"] == "a.b/c d"


def test_a_transfer_is_blind_unless_told_otherwise_and_nulls_are_dropped(scene: Scene) -> None:
    scene.settled(scene.command("transfer", {"target": "2001", "moh": None}))
    scene.settled(scene.command("transfer", {"target": "2001", "transfer_type": "attended"}))
    scene.settled(scene.room.channel(ACCOUNT, "call-1"))
    first, second = (event.body["Data"] for event in scene.node.commands)
    assert first == {"target": "2001", "transfer-type": "blind"}
    assert second == {"target": "2001", "transfer_type": "attended"}


def test_a_call_that_is_connected_to_none_is_not_transferred(scene: Scene) -> None:
    error = scene.failed(scene.command("transfer", {"target": "2001"}, "lonely"), CommandRefused)
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
def test_wrong_data_are_told_field_by_field_and_nothing_is_sent(
    scene: Scene, name: str, data: dict[str, Any], field_name: str, rule: str
) -> None:
    error = scene.failed(scene.command(name, data), CommandRefused)
    assert list(error.errors) == [field_name]
    assert list(error.errors[field_name]) == [rule]
    assert error.errors[field_name][rule]["message"]
    scene.settled(scene.room.channel(ACCOUNT, "call-1"))
    assert scene.node.commands == []


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
def test_an_unknown_or_foreign_call_gets_nothing(scene: Scene, account_id: str, call_id: str) -> None:
    scene.node.one["*"] = channel("*")
    scene.failed(scene.command("hangup", {}, call_id, account_id), UnknownCall, 0.6)
    scene.failed(scene.room.flow(account_id, call_id, {"module": "hangup"}), UnknownCall, 0.6)
    scene.settled(scene.room.channel(ACCOUNT, "call-1"))
    assert scene.node.commands == []


def _nested(levels: int) -> dict[str, Any]:
    flow: dict[str, Any] = {"module": "hangup"}
    for _ in range(levels):
        flow = {"module": "tts", "data": {"text": "next"}, "children": {"_": flow}}
    return flow


def test_a_flow_is_sent_whole(scene: Scene) -> None:
    assert scene.settled(scene.room.flow(ACCOUNT, "a.b/c d", _nested(15))) == "metaflow sent"
    scene.settled(scene.room.channel(ACCOUNT, "call-1"))
    (event,) = scene.node.commands
    assert event.routing_key == "metaflow.flow.a%2Eb%2Fc+d"
    assert {
        "Event-Category": "metaflow",
        "Event-Name": "flow",
        "Call-ID": "a.b/c d",
        "Flow": _nested(15),
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
        (_nested(MAX_DEPTH), "flow", "maxDepth"),
        ({"module": "tts", "data": {"x": "y" * MAX_BYTES}}, "flow", "maxLength"),
    ],
)
def test_wrong_flows_are_refused(scene: Scene, flow: dict[str, Any], field_name: str, rule: str) -> None:
    error = scene.failed(scene.room.flow(ACCOUNT, "call-1", flow), CommandRefused)
    assert rule in error.errors[field_name]
    assert set(error.errors) == {field_name}
    scene.settled(scene.room.channel(ACCOUNT, "call-1"))
    assert scene.node.commands == []


def test_without_a_bus(scene: Scene) -> None:
    scene.bus.stopService()
    scene.failed(scene.command("hangup", {}), BusUnavailable, 0.6)
    scene.bus.startService()


INTEGERS = [
    (command, name, rules)
    for command, action in COMMAND_SCHEMAS.items()
    for name, rules in action.properties.items()
    if rules["type"] in ("integer", "number")
]


@pytest.mark.parametrize(("command", "name", "rules"), INTEGERS)
def test_every_number_of_a_command_is_sent_in_its_exact_type(
    command: str, name: str, rules: dict[str, Any]
) -> None:
    assert rules["type"] == "integer"
    for form in (float(rules["minimum"]), float(rules["maximum"]), rules["maximum"]):
        sent = validate_command(command, {**LEAST[command], name: form})[name]
        assert (type(sent), sent) == (int, form)
        step = {"module": command, "data": {name: form}}
        flow = validate_flow({"module": "tts", "data": {"text": "x"}, "children": {"_": step}})
        assert type(flow["children"]["_"]["data"][name]) is int


@pytest.mark.parametrize(("command", "name", "rules"), INTEGERS)
def test_every_number_of_a_command_that_does_not_fit_is_refused_by_name(
    command: str, name: str, rules: dict[str, Any]
) -> None:
    wrong = [
        (True, "type"),
        ("60", "type"),
        (rules["minimum"] + 0.5, "type"),
        (math.nan, "type"),
        (math.inf, "type"),
    ]
    for form, rule in [*wrong, (rules["minimum"] - 1.0, "minimum"), (rules["maximum"] + 1.0, "maximum")]:
        with pytest.raises(CommandRefused) as refused:
            validate_command(command, {**LEAST[command], name: form})
        assert {field: list(found) for field, found in refused.value.errors.items()} == {name: [rule]}
        with pytest.raises(CommandRefused) as refused:
            validate_flow({"module": command, "data": {name: form}})
        assert {field: list(found) for field, found in refused.value.errors.items()} == {
            f"data.{name}": [rule]
        }
    for form in (10**30, 1e300):
        with pytest.raises(CommandRefused):
            validate_command(command, {**LEAST[command], name: form})
