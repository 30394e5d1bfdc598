from __future__ import annotations

from typing import Any

import orjson
import pytest

from kazoo_bridge.calls.channel_replies import channels_in
from kazoo_bridge.kazoo import Event
from tests.calls.switch import ACCOUNT, OTHER, channel, listed


def _answer(channels: Any) -> Event:
    return Event("targeted", "us", {"Channels": channels}, b"")


def test_answers_of_several_nodes_are_put_together() -> None:
    one = _answer([listed("late", timestamp=20), listed("shared", timestamp=10, username="desk")])
    two = _answer([listed("shared", timestamp=10, presence_id="2001"), listed("first", timestamp=5)])
    found = channels_in([one, two], ACCOUNT)
    assert [one["call_id"] for one in found] == ["first", "shared", "late"]
    assert (found[1]["username"], found[1]["presence_id"]) == ("desk", "2001")


def test_only_the_account_s_own_channels() -> None:
    given = [
        listed("mine"),
        listed("theirs", OTHER),
        listed("nobody's", None),
        {"uuid": "none"},
        listed("odd", [ACCOUNT]),
    ]  # type: ignore[arg-type]
    assert [one["call_id"] for one in channels_in([_answer(given)], ACCOUNT)] == ["mine"]
    by_id = {"mine": channel("mine"), "theirs": channel("theirs", OTHER)}
    assert [one["call_id"] for one in channels_in([_answer(by_id)], ACCOUNT)] == ["mine"]


def _deep() -> Any:
    value: Any = {}
    for _ in range(5000):
        value = {"x": value}
    return listed("deep", more=value)


@pytest.mark.parametrize(
    "garbage",
    [
        None,
        "channels",
        5,
        [],
        {},
        [None, 5, "x", [], {}],
        {"x": None, "y": []},
        [listed("")],
        [{"uuid": 5, "account_id": ACCOUNT}],
    ],
)
def test_garbage_harms_nobody(garbage: Any) -> None:
    found = channels_in(
        [_answer(garbage), _answer([listed()]), _answer(garbage), Event("targeted", "us", {}, b"")], ACCOUNT
    )
    assert [one["call_id"] for one in found] == ["call-1"]


def test_what_is_nested_too_deep_is_no_channel() -> None:
    assert [one["call_id"] for one in channels_in([_answer([_deep(), listed()])], ACCOUNT)] == ["call-1"]


def test_the_public_form_is_normalised_and_keeps_the_switch_s_affairs_to_itself() -> None:
    internal = {
        "Bridge-ID": 1, "Context": 1, "Dialplan": 1, "Node": 1, "Realm": 1, "Profile": 1, "Precedence": 1, "Switch-URL": 1,
        "Switch-Nodename": 1, "Switch-Hostname": 1, "Media-Node": 1, "Fetch-ID": 1, "Handling-Locally": True, "Msg-ID": 1, "Server-ID": 1,
        "App-Name": 1, "App-Version": 1, "Event-Name": 1, "Event-Category": 1,
    }  # fmt: skip
    (shown,) = channels_in(
        [_answer({"call-1": channel(**{"Custom-Channel-Vars": {"Owner-ID": "u"}, "To": None}) | internal})],
        ACCOUNT,
    )
    assert shown == {
        "call_id": "call-1",
        "answered": True,
        "timestamp": 63961574400,
        "call_direction": "inbound",
        "custom_channel_vars": {"owner_id": "u"},
    }
    assert orjson.dumps(shown)
