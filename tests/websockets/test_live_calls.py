"""Live calls over websockets, with a fake switch on the node's own bus."""

from __future__ import annotations

import pytest
import pytest_twisted

from tests.calls.switch import SwitchNode, channel, listed
from tests.websockets.harness import RESELLER, STRANGER, Harness

pytestmark = pytest.mark.timeout(30)


@pytest_twisted.ensureDeferred
async def test_a_snapshot_changes_and_a_command(harness: Harness) -> None:
    one = {"call-1": channel("call-1", RESELLER), "theirs": channel("theirs", STRANGER)}
    node = SwitchNode(harness.node.bus, one, [listed("call-1", RESELLER), listed("theirs", STRANGER)])
    client = await harness.connect()
    assert (await client.request("subscribe", {"account_id": RESELLER, "binding": "calls"}))[
        "status"
    ] == "success"
    snapshot = await client.event()
    assert (snapshot["name"], [call["call_id"] for call in snapshot["data"]["calls"]]) == (
        "snapshot",
        ["call-1"],
    )
    await harness.publish_call(STRANGER, call_id="call-2")
    await harness.publish_call(RESELLER, call_id="call-3")
    changed = await client.event()
    assert (
        changed["name"],
        changed["data"]["calls"][0]["call_id"],
        changed["data"]["calls"][0]["state"],
    ) == (
        "changed",
        "call-3",
        "ringing",
    )
    await harness.publish_call(RESELLER, "CHANNEL_DESTROY", "call-3")
    removed = await client.event()
    assert (removed["name"], removed["data"]["call_ids"]) == ("removed", ["call-3"])

    sent = await client.request("command", {"account_id": RESELLER, "call_id": "call-1", "command": "hangup"})
    assert sent["data"] == {"response": "hangup initiated"}
    refused = await client.request(
        "command", {"account_id": RESELLER, "call_id": "theirs", "command": "hangup"}
    )
    assert refused["status"] == "error"
    assert [event.body["Call-ID"] for event in node.commands] == ["call-1"]
