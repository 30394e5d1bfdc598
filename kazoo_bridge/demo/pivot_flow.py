"""Executes the flow that Pivot has answered, on a simulated call: the actions that end where a call goes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from kazoo_bridge.demo.call import Call
from kazoo_bridge.demo.phase import Phase
from kazoo_bridge.demo.tenants import Party, Tenant

#: Steps of a flow that are executed.
_MAX_STEPS = 20

#: Actions after which a caller who is still there proceeds with the next step.
_PASSING = frozenset({"answer", "noop", "set", "set_cid", "prepend_cid", "language", "sleep", "record_call"})


def execute_flow(call: Call, body: bytes, free_slot: Callable[[Tenant], str]) -> str:
    """Execute an answer; return what was done, for people.

    An empty answer ends the call, as in KAZOO, and so does an action that this switch does not have. A person
    who does not answer has a voicemail box, whatever the flow says about that.
    """
    flow = _parse(body)
    for _ in range(_MAX_STEPS):
        module, data = flow.get("module"), _mapping(flow.get("data"))
        if module in _PASSING:
            flow = _mapping(_mapping(flow.get("children")).get("_"))
            continue
        done = _execute(call, str(module), data, free_slot)
        if done:
            return done
        break
    call.hang_up()
    return f"hung up: no action {flow.get('module')}" if flow.get("module") != "hangup" else "hung up"


def _execute(call: Call, module: str, data: Mapping[str, Any], free_slot: Callable[[Tenant], str]) -> str:
    """Execute one action; return what was done, nothing if this switch cannot do it."""
    if module in ("play", "tts"):
        call.to_mailbox("NORMAL_CLEARING", Phase.ANNOUNCEMENT)
        return f"hears {data.get('id') or data.get('text')}"
    if module == "voicemail":
        call.callee = call.tenant.receptionist
        call.to_mailbox("NORMAL_CLEARING")
        return "to voicemail"
    if module == "park":
        slot = free_slot(call.tenant)
        call.park(call.first, slot)
        return f"parked in {slot}"
    party = _target(call.tenant, module, data)
    if party is None:
        return ""
    call.ring(party)
    return f"rings {party.name} ({party.number})"


def _target(tenant: Tenant, module: str, data: Mapping[str, Any]) -> Party | None:
    """Return the party that an action rings; None if there is none."""
    if module in ("user", "device"):
        return tenant.person(str(data.get("id")))
    if module == "callflow" and data.get("id") == tenant.callflow_id:
        return tenant.receptionist
    if module == "resources" and data.get("to_did"):
        return tenant.party(str(data["to_did"]))
    return None


def _parse(body: bytes) -> Mapping[str, Any]:
    try:
        return _mapping(orjson.loads(body)) if body else {}
    except orjson.JSONDecodeError:
        return {}


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
