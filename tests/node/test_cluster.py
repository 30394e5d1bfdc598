"""The whole way, over the embedded bus and SQLite."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest_twisted
from attrs import evolve

from kazoo_bridge.node.node import Node
from tests.node.harness import make_config
from tests.rest.harness import ACCOUNT, STRANGER, make_call, running_node, until

HOOK = {"name": "n", "uri": "http://127.0.0.1:9/", "hook": "channel_create", "retries": 0}


@pytest_twisted.async_yield_fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    config = make_config(tmp_path)
    # No second attempt comes while a test looks at the first.
    config = evolve(config, webhooks=evolve(config.webhooks, retry_schedule_s=(3600,)))
    async with running_node(config) as harness:
        yield harness.node


@pytest_twisted.ensureDeferred
async def test_what_happened_to_a_call(node: Node) -> None:
    fired = await node.webhooks.hooks.create(ACCOUNT, HOOK)
    silent = await node.webhooks.hooks.create(ACCOUNT, {**HOOK, "modifiers": {"call_direction": "outbound"}})
    body = {**make_call(ACCOUNT, "call-0001"), "Msg-ID": "message-1", "Call-Direction": "inbound"}
    await node.bus.publish("callevt", "call.CHANNEL_CREATE.call-0001", body)

    async def failed() -> Any:
        await node.webhooks.recorder.flush()
        traced = await node.cluster.trace("call-0001", None)
        return traced if traced["attempts"] and traced["deliveries"] else None

    traced = await until(failed)
    (found,) = traced["nodes"]
    assert found["node"] == node.name
    (event,) = found["events"]
    assert (event["msg_id"], event["routing_key"]) == ("message-1", "call.CHANNEL_CREATE.call-0001")
    (occurrence,) = event["occurrences"]
    (made,) = occurrence["fired"]
    assert made["hook_id"] == fired.id
    (quiet,) = occurrence["not_fired"]
    assert quiet["hook_id"] == silent.id
    assert quiet["reason"] == "its modifiers reject the event's values of call_direction"
    (attempt,) = traced["attempts"]
    (delivery,) = traced["deliveries"]
    assert attempt["delivery_id"] == delivery["delivery_id"] == made["delivery_id"]
    assert (attempt["result"], delivery["status"]) == ("failure", "pending")
    # By each other id, and for the account alone, it is the same.
    for wanted in ("message-1", made["delivery_id"], event["event_id"]):
        other = await node.cluster.trace(wanted, {ACCOUNT})
        assert other["nodes"][0]["events"] == [event]
        assert (other["attempts"], other["deliveries"]) == ([attempt], [delivery])
    stranger = await node.cluster.trace("call-0001", {STRANGER})
    assert (stranger["nodes"][0]["events"], stranger["attempts"], stranger["deliveries"]) == ([], [], [])


@pytest_twisted.ensureDeferred
async def test_the_status_of_all_nodes(node: Node) -> None:
    (status,) = await node.cluster.statuses()
    assert (status["node"], status["ready"], status["sockets"]) == (node.name, True, 0)
    assert status["memory_bytes"] > 1_000_000
