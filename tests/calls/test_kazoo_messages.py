from __future__ import annotations

from kazoo_bridge import __version__
from kazoo_bridge.calls.kazoo_messages import (
    account_channels_query,
    action_command,
    all_channels_query,
    channel_query,
    flow_command,
    user_channels_query,
)
from tests.calls.switch import ACCOUNT


def test_a_command() -> None:
    exchange, routing_key, body = action_command("a.b", "transfer", {"target": "2001"})
    assert (exchange, routing_key) == ("metaflow", "metaflow.action.a%2Eb.transfer")
    assert len(body.pop("Msg-ID")) == 32
    assert body == {
        "App-Name": "kazoo_bridge",
        "App-Version": __version__,
        "Event-Category": "metaflow",
        "Event-Name": "action",
        "Call-ID": "a.b",
        "Action": "transfer",
        "Data": {"target": "2001"},
    }


def test_a_flow() -> None:
    exchange, routing_key, body = flow_command("a.b", {"module": "hangup"})
    assert (exchange, routing_key) == ("metaflow", "metaflow.flow.a%2Eb")
    assert (body["Event-Category"], body["Event-Name"], body["Call-ID"]) == ("metaflow", "flow", "a.b")
    assert body["Flow"] == {"module": "hangup"}


def test_every_command_has_its_own_message_id() -> None:
    ids = {action_command("c", "hangup", {})[2]["Msg-ID"] for _ in range(10)}
    assert len(ids) == 10


def test_queries_for_user_names_and_for_all_accounts() -> None:
    assert user_channels_query(ACCOUNT, ["u2", "u.1", "u2"], "voice.example.com") == (
        "callevt",
        "call.status_req.u%2E1%3Avoice%2Eexample%2Ecom",
        {
            "Event-Category": "call_event",
            "Event-Name": "query_user_channels_req",
            "Account-ID": ACCOUNT,
            "Usernames": ["u.1", "u2"],
            "Realm": "voice.example.com",
            "Active-Only": False,
        },
    )
    assert all_channels_query()[2]["Account-ID"] == "all"


def test_the_queries() -> None:
    assert account_channels_query(ACCOUNT) == (
        "callevt",
        "call.status_req.channels",
        {
            "Event-Category": "call_event",
            "Event-Name": "query_account_channels_req",
            "Account-ID": ACCOUNT,
            "Active-Only": False,
        },
    )
    assert channel_query("c1") == (
        "callevt",
        "call.status_req.channels",
        {
            "Event-Category": "call_event",
            "Event-Name": "query_channels_req",
            "Call-ID": "c1",
            "Fields": "all",
            "Active-Only": True,
        },
    )
