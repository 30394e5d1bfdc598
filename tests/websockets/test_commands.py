from __future__ import annotations

import json
from typing import Any

from attrs import evolve

from kazoo_bridge.interfaces import (
    ALL_ACCOUNTS,
    CommandForbidden,
    NewCall,
    NoSwitch,
    TokenRestrictions,
    TooManyNewCalls,
)
from kazoo_bridge.websockets.commands import encode_outcome
from tests.websockets.fakes import CHILD, STRANGER, SUPERADMIN
from tests.websockets.test_actions import ActionsHarness, FakeClient, error

DATA = {"from_type": "user", "from_id": "u1", "to": "2003"}


def place(client: FakeClient, command: str = "originate", **data: Any) -> tuple[str, Any]:
    return client.request("command", {"account_id": CHILD, "command": command, **data})


def test_a_new_call_needs_no_call_id() -> None:
    its = ActionsHarness()
    status, data = place(its.client(), data=DATA)
    assert (status, data["response"], data["status"]) == ("success", "originate initiated", "ringing")
    assert (data["command_id"], data["call_id"]) == ("command-1", "call-1")
    place(its.client(port=2), **DATA)
    assert its.calls.sent == [(CHILD, "originate", DATA)] * 2


def test_the_call_id_of_eavesdrop_may_stand_beside_the_command() -> None:
    its = ActionsHarness()
    device = {"from_type": "device", "from_id": "d1"}
    place(its.client(), "eavesdrop", call_id="c9", data=device)
    place(its.client(port=2), "eavesdrop", call_id="c9", data={**device, "call_id": "c8"})
    place(its.client(port=3), "eavesdrop", call_id="c9", **device)
    assert [data["call_id"] for _, _, data in its.calls.sent] == ["c9", "c8", "c9"]


def test_later_states_go_to_the_client_that_asked() -> None:
    its = ActionsHarness()
    client, other = its.client(), its.client(port=2)
    client.send(
        {"action": "command", "request_id": "7", "data": {"account_id": CHILD, "command": "originate"}}
    )
    other.messages()
    (on_outcome,) = its.calls.outcomes
    call = NewCall("k1", "originate", CHILD, "c1", ("c1",), "failed", "NO_ANSWER")
    on_outcome(call)
    assert client.messages() == [
        {"action": "command_outcome", "request_id": "7", "data": call.document()},
    ]
    assert other.messages() == []


def test_a_client_that_has_gone_receives_nothing() -> None:
    its = ActionsHarness()
    client = its.client()
    place(client, data=DATA)
    client.session.disconnect()
    its.calls.outcomes[0](NewCall("k1", "originate", CHILD))
    assert client.messages() == []


def test_refusals() -> None:
    its = ActionsHarness()
    its.calls.place_errors = {
        "1": CommandForbidden("calls.allow_eavesdrop is false"),
        "2": TooManyNewCalls(7),
        "3": NoSwitch("no part of KAZOO executes originate"),
    }
    texts = ("calls.allow_eavesdrop is false", "too many new calls: try again in 7 seconds")
    for number, text in enumerate((*texts, "no part of KAZOO executes originate"), start=1):
        assert place(its.client(port=number), data={"to": str(number)}) == error(text)
    assert place(its.client(STRANGER, 8), data=DATA) == error("unauthorized account id")
    answer = place(its.client(SUPERADMIN, 9), data=DATA, account_id=ALL_ACCOUNTS)
    assert answer == error("commands are not available for all accounts at once")
    assert place(its.client(port=10), data=DATA, call_id=5)[0] == "error"
    assert its.calls.sent == []


def test_a_restricted_token_needs_the_right_to_the_request() -> None:
    its = ActionsHarness()
    for port, (rules, allowed) in enumerate(
        (({"/": ["PUT"]}, True), ({"/": ["POST"]}, False), ({"*": ["PUT"]}, False)), start=1
    ):
        client = its.client(port=port)
        place(client, command="metaflow", call_id="c1")
        assert client.session.principal is not None
        restrictions = TokenRestrictions.parse({"channels": [{"rules": rules}]})
        client.session.principal = evolve(client.session.principal, restrictions=restrictions)
        assert (place(client, data=DATA)[0] == "success") is allowed


def test_the_form_of_an_outcome() -> None:
    assert json.loads(encode_outcome("1", NewCall("k1", "originate", CHILD))) == {
        "action": "command_outcome",
        "request_id": "1",
        "data": {"command_id": "k1", "command": "originate", "account_id": CHILD, "status": "initiated"},
    }
