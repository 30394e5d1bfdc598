from __future__ import annotations

from typing import Any

import pytest

from kazoo_bridge.calls.new_calls.request import (
    NEW_CALL_SCHEMAS,
    EavesdropRequest,
    OriginateRequest,
    parse_new_call,
)
from kazoo_bridge.interfaces import CommandRefused, UnknownCommand
from kazoo_bridge.websockets.commands import NEW_CALL_COMMANDS

ORIGINATE = {"from_type": "user", "from_id": "u1", "to": "2003"}
EAVESDROP = {"call_id": "c1", "from_type": "device", "from_id": "d1"}


def errors_of(command: str, data: dict[str, Any]) -> dict[str, list[str]]:
    with pytest.raises(CommandRefused) as caught:
        parse_new_call(command, data)
    return {field: list(rules) for field, rules in caught.value.errors.items()}


def test_sockets_know_the_same_commands() -> None:
    assert frozenset(NEW_CALL_SCHEMAS) == NEW_CALL_COMMANDS


def test_the_defaults() -> None:
    assert parse_new_call("originate", {**ORIGINATE, "caller_id_name": None}) == OriginateRequest(
        "user", "u1", "2003", timeout_s=30, auto_answer=False
    )
    assert parse_new_call("eavesdrop", EAVESDROP) == EavesdropRequest("c1", "device", "d1", "listen", 30)


def test_all_keys() -> None:
    data = {
        **ORIGINATE,
        "from_type": "number",
        "from_id": "+4930123456",
        "caller_id_name": "Søren O-Hara (desk)",
        "caller_id_number": "+15555550100",
        "timeout_s": 60.0,
        "auto_answer": True,
    }
    request = parse_new_call("originate", data)
    assert request == OriginateRequest(
        "number", "+4930123456", "2003", "Søren O-Hara (desk)", "+15555550100", 60, True
    )


def test_what_is_missing_or_unknown() -> None:
    assert errors_of("originate", {}) == {
        "from_type": ["required"],
        "from_id": ["required"],
        "to": ["required"],
    }
    assert errors_of("originate", {**ORIGINATE, "application": "park"}) == {"": ["additionalProperties"]}
    assert list(errors_of("eavesdrop", {"from_type": "number", "from_id": "1"})) == ["call_id", "from_type"]
    with pytest.raises(UnknownCommand):
        parse_new_call("hangup", {})


@pytest.mark.parametrize(
    "to",
    [
        "",
        "2003 XML other",
        "2003,hangup",
        "2003'",
        "2003\n",
        "{origination_uuid=x}2003",
        "${x}",
        "user/2003@a.example.com",
        "9" * 65,
        2003,
    ],
)
def test_the_number_cannot_reach_into_the_dial_plan(to: Any) -> None:
    assert list(errors_of("originate", {**ORIGINATE, "to": to})) == ["to"]


@pytest.mark.parametrize("to", ["2003", "+15555550100", "*97", "**2001", "*3101", "#8", "reception.desk-1_a"])
def test_what_a_person_can_dial(to: str) -> None:
    request = parse_new_call("originate", {**ORIGINATE, "to": to})
    assert isinstance(request, OriginateRequest)
    assert request.to == to


@pytest.mark.parametrize(
    "name", ["a,b", "a'b", "a}b", "[a", "a\x00", "a\n", "<a>", "a" * 65, "$a", "a^b", "a|b"]
)
def test_the_callers_name_cannot_reach_into_the_dial_string(name: str) -> None:
    assert list(errors_of("originate", {**ORIGINATE, "caller_id_name": name})) == ["caller_id_name"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("timeout_s", 3),
        ("timeout_s", 121),
        ("from_type", "group"),
        ("from_id", "*97"),
        ("from_id", "u1\n"),
        ("caller_id_number", "anonymous"),
        ("auto_answer", "perhaps"),
    ],
)
def test_wrong_values(key: str, value: Any) -> None:
    assert list(errors_of("originate", {**ORIGINATE, key: value})) == [key]
