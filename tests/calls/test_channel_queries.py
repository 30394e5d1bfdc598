from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import orjson
import pytest

from kazoo_bridge.calls import channel_queries
from kazoo_bridge.calls.channel_queries import Channel, merge_replies, replying_node
from kazoo_bridge.kazoo import Event
from tests.calls.switch import ACCOUNT, OTHER, channel, listed


def make_reply(channels: Any, node: str = "one") -> Event:
    return Event("targeted", "us", {"Channels": channels, "Node": node}, b"")


def channels_in(replies: Iterable[Event], account_id: str) -> Sequence[Channel]:
    return merge_replies(replies, account_id).channels


def test_replies_of_several_nodes_are_merged() -> None:
    one = make_reply([listed("late", timestamp=20), listed("shared", timestamp=10, username="desk")])
    two = make_reply([listed("shared", timestamp=10, presence_id="2001"), listed("first", timestamp=5)])
    found = channels_in([one, two], ACCOUNT)
    assert [one["call_id"] for one in found] == ["first", "shared", "late"]
    assert (found[1]["username"], found[1]["presence_id"]) == ("desk", "2001")


def test_only_the_account_s_channels_are_returned() -> None:
    given = [
        listed("mine"),
        listed("theirs", OTHER),
        listed("without-account", None),
        {"uuid": "none"},
        listed("odd", [ACCOUNT]),
    ]
    assert [one["call_id"] for one in channels_in([make_reply(given)], ACCOUNT)] == ["mine"]
    by_id = {"mine": channel("mine"), "theirs": channel("theirs", OTHER)}
    assert [one["call_id"] for one in channels_in([make_reply(by_id)], ACCOUNT)] == ["mine"]


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
def test_malformed_replies_are_ignored(garbage: Any) -> None:
    found = channels_in(
        [make_reply(garbage), make_reply([listed()]), make_reply(garbage), Event("targeted", "us", {}, b"")],
        ACCOUNT,
    )
    assert [one["call_id"] for one in found] == ["call-1"]


def test_a_channel_that_is_nested_too_deep_is_ignored() -> None:
    assert [one["call_id"] for one in channels_in([make_reply([_deep(), listed()])], ACCOUNT)] == ["call-1"]


def test_the_public_form_is_normalised_and_lacks_internal_keys() -> None:
    internal = {
        "Bridge-ID": 1, "Context": 1, "Dialplan": 1, "Node": 1, "Realm": 1, "Profile": 1, "Precedence": 1,
        "Switch-URL": 1, "Switch-Nodename": 1, "Switch-Hostname": 1, "Media-Node": 1, "Fetch-ID": 1,
        "Handling-Locally": True, "Msg-ID": 1, "Server-ID": 1, "App-Name": 1, "App-Version": 1,
        "Event-Name": 1, "Event-Category": 1,
    }  # fmt: skip
    (shown,) = channels_in(
        [make_reply({"call-1": channel(Custom_Channel_Vars={"Owner-ID": "u"}, To=None) | internal})],
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


def test_the_report_says_which_nodes_replied_and_which_reported_each_channel() -> None:
    replies = [
        make_reply([listed("a"), listed("b")], "one"),
        make_reply([listed("b")], "two"),
        make_reply([], "three"),
    ]
    report = merge_replies(replies, ACCOUNT)
    assert report.node_of == {"a": "one", "b": "two"}
    assert report.nodes == {"one", "two", "three"}


def test_channels_of_the_same_second_are_ordered_by_call_id() -> None:
    found = channels_in([make_reply([listed("b"), listed("a")])], ACCOUNT)
    assert [one["call_id"] for one in found] == ["a", "b"]


def test_only_the_first_channels_of_a_reply_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel_queries, "MAX_CHANNELS", 2)
    found = channels_in([make_reply([listed("a"), listed("b"), listed("c")])], ACCOUNT)
    assert [one["call_id"] for one in found] == ["a", "b"]


@pytest.mark.parametrize(("body", "node"), [({"Node": "one"}, "one"), ({"Node": 5}, ""), ({}, "")])
def test_the_replying_node(body: dict[str, Any], node: str) -> None:
    assert replying_node(body) == node
