from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from kazoo_bridge.demo.call import Call
from kazoo_bridge.demo.phase import Phase
from kazoo_bridge.demo.pivot_flow import execute_flow
from kazoo_bridge.demo.tenants import OUTSIDERS
from tests.demo.harness import Harness


@pytest.fixture
def harness() -> Iterator[Harness]:
    demo = Harness()
    yield demo
    demo.stop()


def routed_call(harness: Harness) -> Call:
    for earlier in harness.switchboard.calls:
        earlier.hang_up()
    tenant = harness.tenants[0]
    desk = tenant.party(tenant.front_desk_number)
    call = harness.switchboard.calls.place_routed(tenant, OUTSIDERS[0], desk, tenant.receptionist)
    assert call is not None
    assert call.phase is Phase.ROUTING
    return call


def execute(harness: Harness, call: Call, flow: Any) -> str:
    body = json.dumps(flow).encode() if flow is not None else b""
    return execute_flow(call, body, harness.switchboard.calls.free_slot)


def test_a_user_a_device_a_callflow_and_a_number_ring(harness: Harness) -> None:
    tenant = harness.tenants[0]
    person = tenant.people[3]
    for module, data, party in (
        ("user", {"id": person.user_id}, person),
        ("device", {"id": person.device_id}, person),
        ("callflow", {"id": tenant.callflow_id}, tenant.receptionist),
        ("resources", {"to_did": OUTSIDERS[1].number}, OUTSIDERS[1]),
    ):
        call = routed_call(harness)
        done = execute(harness, call, {"module": module, "data": data, "children": {}})
        assert call.phase is Phase.RINGING
        assert call.ringing is not None
        assert call.ringing.party == party
        assert done == f"rings {party.name} ({party.number})"


def test_a_caller_reaches_voicemail_and_a_park_slot(harness: Harness) -> None:
    call = routed_call(harness)
    execute(harness, call, {"module": "voicemail", "data": {"id": "x"}})
    assert (call.phase, call.callee) == (Phase.MAILBOX, call.tenant.receptionist)
    call = routed_call(harness)
    assert execute(harness, call, {"module": "park", "data": {}}) == "parked in 101"
    assert (call.phase, call.slot) == (Phase.PARKED, "101")


def test_an_announcement_is_heard_and_the_call_ends(harness: Harness) -> None:
    call = routed_call(harness)
    flow = {"module": "tts", "data": {"text": "Bye"}, "children": {"_": {"module": "hangup"}}}
    assert execute(harness, call, flow) == "hears Bye"
    assert call.phase is Phase.ANNOUNCEMENT
    harness.run_until(lambda: call.phase is Phase.OVER, 10)
    assert "voicemail_saved" not in {event.name for event in harness.events}


@pytest.mark.parametrize(
    "flow",
    [
        None,
        [],
        {"module": "hangup"},
        {"module": "menu", "data": {"id": "m"}},
        {"module": "user", "data": {"id": "gone"}},
    ],
)
def test_what_leads_nowhere_ends_the_call(harness: Harness, flow: Any) -> None:
    call = routed_call(harness)
    assert execute(harness, call, flow).startswith("hung up")
    assert call.phase is Phase.OVER


def test_steps_that_only_prepare_lead_to_the_next_one(harness: Harness) -> None:
    call = routed_call(harness)
    park = {"module": "park", "data": {}}
    prepared = {"module": "answer", "children": {"_": {"module": "set_cid", "children": {"_": park}}}}
    execute(harness, call, prepared)
    assert call.phase is Phase.PARKED


def test_an_answer_that_is_no_json_ends_the_call(harness: Harness) -> None:
    call = routed_call(harness)
    execute_flow(call, b"<Response/>", harness.switchboard.calls.free_slot)
    assert call.phase is Phase.OVER
