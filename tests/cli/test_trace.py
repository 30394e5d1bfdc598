from __future__ import annotations

import json
from typing import Any

import pytest

from kazoo_bridge.cli import trace as trace_module
from kazoo_bridge.cli.trace import describe
from tests.cli.harness import CliHarness

TRACED: dict[str, Any] = {
    "id": "call-0001",
    "nodes": [
        {
            "node": "a",
            "kept_events": 7,
            "kept_since": 0.0,
            "events": [
                {
                    "received": 60.0,
                    "routing_key": "call.X.1",
                    "msg_id": "m1",
                    "call_id": "call-0001",
                    "event_id": "msg_1",
                    "occurrences": [
                        {
                            "hook": "object",
                            "account_id": "A",
                            "selectors": {"type": "user"},
                            "fired": [
                                {"hook_id": "h1", "delivery_id": "d1", "delivered": 61.0},
                                {"hook_id": "h2", "delivery_id": "d2", "delivered": None},
                            ],
                            "not_fired": [{"hook_id": "h3", "reason": "it is disabled"}],
                        },
                        {"hook": "object", "account_id": None, "note": "no account\x1b"},
                    ],
                },
                {"received": 60.0, "routing_key": "call.Y.1", "occurrences": []},
            ],
            "sockets": [{"received": 60.0, "routing_key": "call.X.1", "sockets": 3}],
        },
        {"node": "b", "events": [], "sockets": [], "problem": "no answer within 10 s"},
    ],
    "attempts": [
        {
            "made_at": 61.0,
            "result": "failure",
            "resp_status_code": "500",
            "hook_id": "h2",
            "delivery_id": "d2",
            "method": "post",
            "uri": "http://r/",
        }
    ],
    "deliveries": [
        {
            "delivery_id": "d2",
            "status": "pending",
            "attempts": 1,
            "next_attempt": 66.0,
            "hook_id": "h2",
            "reason": "answered 500",
        }
    ],
}


def test_what_happened_to_an_event() -> None:
    assert list(describe(TRACED)) == [
        "1970-01-01T00:01:00+00:00  call.X.1  on a",
        "  msg-id m1  call-id call-0001  event-id msg_1",
        "  object type=user of account A",
        "    fired hook h1: delivery d1, delivered 1970-01-01T00:01:01+00:00",
        "    fired hook h2: delivery d2, see the attempts and deliveries below",
        "    not hook h3: it is disabled",
        "  object of account -",
        "    no account\x1b",
        "1970-01-01T00:01:00+00:00  call.Y.1  on a",
        "  msg-id -  call-id -  event-id -",
        "  no type of hook is for it",
        "1970-01-01T00:01:00+00:00  call.X.1  on a: sent to 3 sockets",
        "attempts",
        "  1970-01-01T00:01:01+00:00  failure  500  hook h2  delivery d2  POST http://r/",
        "deliveries",
        "  d2  pending  after 1 attempts, next 1970-01-01T00:01:06+00:00  hook h2: answered 500",
        "a keeps 7 events since 1970-01-01T00:00:00+00:00",
        "b: no answer within 10 s",
    ]


def test_a_wrong_answer_of_a_node_is_shown_as_far_as_it_is_one() -> None:
    wrong = [
        {"received": [], "occurrences": 5},
        {"received": "now", "occurrences": ["x", {"selectors": 3, "fired": {"a": 1}, "not_fired": ["h"]}]},
    ]
    node = {"node": "a", "events": wrong, "sockets": [{"sockets": None}], "kept_since": {}}
    lines = list(describe({"id": "c", "nodes": [node], "attempts": [], "deliveries": []}))
    assert [line for line in lines if "None of account" in line] == ["  None of account -"]
    assert lines[-1] == "a keeps no events"


def test_nothing_is_known() -> None:
    assert list(describe({"id": "x", "nodes": [], "attempts": [], "deliveries": []})) == [
        "nothing is known of x",
        "no node answers: only the storage was asked",
    ]


def test_the_command(cli: CliHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace_module, "use_nodes", lambda _context, _url, _work: TRACED)
    assert "    no account\\u001b" in cli.lines("trace", "call-0001")
    assert json.loads(cli.run("trace", "call-0001", "--json").stdout) == TRACED
