"""Commands and live calls over the socket, with a stand-in for the room that carries them out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import implementer

from kazoo_bridge.interfaces import (
    BusUnavailable,
    CallChange,
    CommandRefused,
    ICalls,
    ICallWatch,
    UnknownCall,
)
from tests.websockets.stage import CHILD, RESELLER, STRANGER, Stage

pytestmark = pytest.mark.timeout(30)


@implementer(ICallWatch)
class Watch:
    def __init__(self, tell: Callable[[CallChange], None]) -> None:
        self.tell = tell
        self.stopped = False

    def stop(self) -> None:
        self.stopped = True


@implementer(ICalls)
class Calls:
    """Says what it was asked."""

    def __init__(self) -> None:
        self.sent: list[tuple[Any, ...]] = []
        self.watches: list[Watch] = []

    def channels(self, account_id: str) -> Deferred[list[Mapping[str, Any]]]:
        raise AssertionError

    def channel(self, account_id: str, call_id: str) -> Deferred[Mapping[str, Any] | None]:
        raise AssertionError

    def command(self, account_id: str, call_id: str, command: str, data: Mapping[str, Any]) -> Deferred[str]:
        if call_id == "gone":
            return fail(UnknownCall(call_id))
        if command == "dance":
            return fail(CommandRefused({"command": {"enum": {"message": "unknown command dance"}}}))
        if command == "say":
            return fail(BusUnavailable("no connection"))
        self.sent.append((account_id, call_id, command, dict(data)))
        return succeed(f"{command} initiated")

    def flow(self, account_id: str, call_id: str, flow: Mapping[str, Any]) -> Deferred[str]:
        self.sent.append((account_id, call_id, dict(flow)))
        return succeed("metaflow sent")

    def watch(self, account_id: str, watcher: Callable[[CallChange], None]) -> ICallWatch:
        made = Watch(watcher)
        self.watches.append(made)
        watcher(CallChange("snapshot", [{"call_id": "c1"}]))
        return made  # type: ignore[return-value]


async def staged(folder: Path) -> tuple[Stage, Calls]:
    stage, calls = await Stage.of(folder), Calls()
    room = stage.bridge.websockets
    room.server.actions._calls = calls  # type: ignore[attr-defined, assignment]
    room.server.actions._subscriptions._calls = calls  # type: ignore[attr-defined, assignment]
    return stage, calls


@pytest_twisted.ensureDeferred
async def test_commands(tmp_path: Path) -> None:
    stage, calls = await staged(tmp_path)
    client, stranger = await stage.client(), await stage.client(STRANGER)

    async def command(who: Any = client, **data: Any) -> Any:
        answer = await who.ask("command", {"account_id": CHILD, "call_id": "c1", **data})
        return answer["status"], answer["data"]

    assert await command(command="hangup") == ("success", {"response": "hangup initiated"})
    assert await command(command="transfer", target="2001") == ("success", {"response": "transfer initiated"})
    assert await command(command="transfer", data={"target": "2002"}) == (
        "success",
        {"response": "transfer initiated"},
    )
    assert await command(command="metaflow", data={"module": "hangup"}) == (
        "success",
        {"response": "metaflow sent"},
    )
    assert calls.sent == [
        (CHILD, "c1", "hangup", {}),
        (CHILD, "c1", "transfer", {"target": "2001"}),
        (CHILD, "c1", "transfer", {"target": "2002"}),
        (CHILD, "c1", {"module": "hangup"}),
    ]
    assert await command(stranger, command="hangup") == ("error", {"errors": ["unauthorized account id"]})
    assert await command(command="hangup", call_id="gone") == (
        "error",
        {"errors": ["the account has no live call gone"]},
    )
    status, data = await command(command="dance")
    assert (status, data["errors"]) == ("error", ["command: unknown command dance"])
    assert data["fields"] == {"command": {"enum": {"message": "unknown command dance"}}}
    assert await command(command="say") == ("error", {"errors": ["not possible just now; try again later"]})
    assert (await command(command=5))[0] == "error"
    assert (await command(command="hangup", account_id="*"))[0] == "error"
    assert len(calls.sent) == 4
    await stage.stop()


@pytest_twisted.ensureDeferred
async def test_live_calls(tmp_path: Path) -> None:
    stage, calls = await staged(tmp_path)
    client = await stage.client()
    answer = await client.ask("subscribe", {"account_id": RESELLER, "bindings": ["calls", "call.*.*"]})
    assert answer["data"] == {"subscribed": ["call.*.*", "calls"]}
    await client.ask("subscribe", {"account_id": RESELLER, "binding": "calls"})
    (watch,) = calls.watches
    watch.tell(CallChange("changed", [{"call_id": "c2"}]))
    watch.tell(CallChange("removed", call_ids=["c1"]))
    first = await client.event()
    assert first == {
        "action": "event",
        "subscribed_key": "calls",
        "subscription_key": f"calls.{RESELLER}",
        "name": "snapshot",
        "routing_key": f"calls.{RESELLER}",
        "data": {"account_id": RESELLER, "calls": [{"call_id": "c1"}]},
    }
    assert [(await client.event())["data"] for _ in range(2)] == [
        {"account_id": RESELLER, "calls": [{"call_id": "c2"}]},
        {"account_id": RESELLER, "call_ids": ["c1"]},
    ]
    assert (await client.ask("unsubscribe", {"account_id": RESELLER, "binding": "calls"}))["data"][
        "subscribed"
    ] == ["call.*.*"]
    assert watch.stopped
    await client.ask("subscribe", {"account_id": CHILD, "binding": "calls"})
    await client.close()
    assert calls.watches[1].stopped
    await stage.stop()
