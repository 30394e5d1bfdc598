from __future__ import annotations

from typing import Any

import pytest_twisted

from tests.rest.harness import ACCOUNT, CHILD, STRANGER, RestHarness, until


async def superadmin_token(rest: RestHarness) -> str:
    node, account_id = rest.node, "d" * 32
    await node.accounts.create(account_id, superadmin=True)
    await node.directory.load()
    return (await node.tokens.create(account_id)).token


@pytest_twisted.ensureDeferred
async def test_super_admins_see_the_nodes(rest: RestHarness) -> None:
    (status,) = await rest.get_data("/v2/nodes", token=await superadmin_token(rest))
    assert (status["node"], status["ready"]) == (rest.node.name, True)
    refused = await rest("GET", "/v2/nodes")
    assert (refused.code, refused.json_body["message"]) == (403, "forbidden")
    assert (await rest("GET", "/v2/nodes", token="")).code == 401


@pytest_twisted.ensureDeferred
async def test_an_event_is_traced_by_its_account_and_those_above(rest: RestHarness) -> None:
    await rest.publish_calls(CHILD)
    call_id = "b0"
    trace = f"/v2/accounts/{ACCOUNT}/traces/"

    async def traced() -> object:
        # Ids have 6 characters at least.
        return len(rest.node.webhooks.event_handler.traces)

    await until(traced)
    short = await rest("GET", trace + call_id)
    assert (short.code, list(short.json_body["data"])) == (400, ["trace_id"])
    body: dict[str, Any] = {"Call-ID": "call/0001", "Msg-ID": "m", "Event-Category": "call_event"}
    body |= {"Event-Name": "CHANNEL_CREATE", "Custom-Channel-Vars": {"Account-ID": CHILD}}
    await rest.node.bus.publish("callevt", "call.CHANNEL_CREATE.x", body)

    async def found() -> object:
        return (await rest.get_data(trace + "call%2F0001"))["nodes"][0]["events"]

    (event,) = await until(found)
    assert event["occurrences"][0]["account_id"] == CHILD
    token = (await rest.node.tokens.create(STRANGER)).token
    own = await rest.get_data(f"/v2/accounts/{STRANGER}/traces/call%2F0001", token=token)
    assert own["nodes"][0]["events"] == []
    assert (await rest("GET", trace + "call%2F0001", token=token)).code == 403


@pytest_twisted.ensureDeferred
async def test_super_admins_trace_events_of_all_accounts(rest: RestHarness) -> None:
    token = await superadmin_token(rest)
    traced = await rest.get_data("/v2/traces/unknown-id", token=token)
    assert (traced["id"], traced["attempts"], traced["deliveries"]) == ("unknown-id", [], [])
    assert (await rest("GET", "/v2/traces/unknown-id")).code == 403
