"""Live calls over websockets, with a switch that answers on the bridge's own bus."""

from __future__ import annotations

import pytest
import pytest_twisted

from tests.calls.switch import SwitchNode, channel, listed
from tests.websockets.stage import RESELLER, STRANGER, Stage

pytestmark = pytest.mark.timeout(30)


@pytest_twisted.ensureDeferred
async def test_a_snapshot_then_changes_then_a_command(stage: Stage) -> None:
    one = {"call-1": channel("call-1", RESELLER), "theirs": channel("theirs", STRANGER)}
    node = SwitchNode(stage.bridge.bus, one, [listed("call-1", RESELLER), listed("theirs", STRANGER)])
    client = await stage.client()
    assert (await client.ask("subscribe", {"account_id": RESELLER, "binding": "calls"}))[
        "status"
    ] == "success"
    snapshot = await client.event()
    assert (snapshot["name"], [call["call_id"] for call in snapshot["data"]["calls"]]) == (
        "snapshot",
        ["call-1"],
    )
    await stage.call(STRANGER, call_id="call-2")
    await stage.call(RESELLER, call_id="call-3")
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
    await stage.call(RESELLER, "CHANNEL_DESTROY", "call-3")
    removed = await client.event()
    assert (removed["name"], removed["data"]["call_ids"]) == ("removed", ["call-3"])

    sent = await client.ask("command", {"account_id": RESELLER, "call_id": "call-1", "command": "hangup"})
    assert sent["data"] == {"response": "hangup initiated"}
    refused = await client.ask("command", {"account_id": RESELLER, "call_id": "theirs", "command": "hangup"})
    assert refused["status"] == "error"
    assert [event.body["Call-ID"] for event in node.commands] == ["call-1"]
