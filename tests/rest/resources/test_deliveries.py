"""Deliveries over REST: listed while they wait, listed when dead, made again."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.task import deferLater

from kazoo_bridge.interfaces import Delivery
from kazoo_bridge.kazoo import to_gregorian
from tests.rest.harness import ACCOUNT, CHILD, STRANGER, RestHarness, hooks_path


async def keep(
    rest: RestHarness, hook_id: str, *names: str, dead: bool = False, created: float | None = None
) -> None:
    now = reactor.seconds()
    later = None if dead else now + 1000
    kept = [
        (
            Delivery(
                name,
                hook_id,
                ACCOUNT,
                "channel_create",
                f"event {name}",
                {"call_id": name},
                created or now,
                attempts=3,
            ),
            later,
            "refused",
        )
        for name in names
    ]
    await rest.node.webhooks.stores.deliveries.enqueue(kept)


async def ids(rest: RestHarness, path: str) -> list[str]:
    return [one["id"] for one in (await rest("GET", path)).json_body["data"]]


@pytest_twisted.ensureDeferred
async def test_what_waits_and_what_is_dead(rest: RestHarness) -> None:
    one, two = await rest.create_hook(), await rest.create_hook(name="two")
    await keep(rest, one, "a", "b")
    await keep(rest, two, "c")
    await keep(rest, one, "d", dead=True)
    assert await ids(rest, f"{hooks_path()}/deliveries") == ["c", "b", "a"]
    assert await ids(rest, f"{hooks_path(hook_id=one)}/deliveries?status=pending") == ["b", "a"]
    assert await ids(rest, f"{hooks_path(hook_id=one)}/deliveries?status=dead") == ["d"]
    assert await ids(rest, f"{hooks_path()}/deliveries?filter_hook_id={two}") == ["c"]
    (dead,) = (await rest("GET", f"{hooks_path()}/deliveries?status=dead")).json_body["data"]
    assert abs(dead.pop("created") - to_gregorian(reactor.seconds())) < 30
    assert dead == {
        "id": "d",
        "hook_id": one,
        "hook_event": "channel_create",
        "event_id": "event d",
        "status": "dead",
        "attempts": 3,
        "reason": "refused",
        "payload": {"call_id": "d"},
    }
    page = (await rest("GET", f"{hooks_path()}/deliveries?page_size=2")).json_body
    assert [one["id"] for one in page["data"]] == ["c", "b"]
    assert await ids(rest, f"{hooks_path()}/deliveries?page_size=2&start_key={page['next_start_key']}") == [
        "a"
    ]
    assert (await rest.get_hook(one))["health"]["deliveries_waiting"] == 2


@pytest_twisted.ensureDeferred
async def test_a_dead_one_is_made_again(rest: RestHarness, receiver: Any) -> None:
    hook_id = await rest.create_hook(uri=receiver.url)
    await keep(rest, hook_id, "x", "y", dead=True)
    answered = await rest("POST", f"{hooks_path(hook_id=hook_id)}/deliveries/x/retry")
    assert (answered.code, answered.json_body["data"]) == (202, {"id": "x", "status": "pending"})
    await receiver.arrived(1)
    assert b"call_id=x" in receiver.received[0].body
    deadline = reactor.seconds() + 10
    while await ids(rest, f"{hooks_path()}/deliveries"):
        assert reactor.seconds() < deadline
        await deferLater(reactor, 0.02)
    assert await ids(rest, f"{hooks_path()}/deliveries?status=dead") == ["y"]


@pytest_twisted.ensureDeferred
async def test_everything_since_a_time_is_made_again(rest: RestHarness, receiver: Any) -> None:
    hook_id = await rest.create_hook(uri=receiver.url)
    now = reactor.seconds()
    await keep(rest, hook_id, "old", dead=True, created=now - 7200)
    await keep(rest, hook_id, "new", "newer", dead=True, created=now - 60)
    answered = await rest(
        "POST", f"{hooks_path(hook_id=hook_id)}/deliveries/recover", {"since": to_gregorian(now - 3600)}
    )
    assert (answered.code, answered.json_body["data"]) == (202, {"recovered": 2})
    await receiver.arrived(2)
    assert await ids(rest, f"{hooks_path()}/deliveries?status=dead") == ["old"]
    assert (await rest("POST", f"{hooks_path(hook_id=hook_id)}/deliveries/recover", {})).json_body[
        "data"
    ] == {"recovered": 1}


@pytest_twisted.ensureDeferred
async def test_deliveries_of_a_disabled_hook_are_not_attempted(rest: RestHarness) -> None:
    hook_id = await rest.create_hook(enabled=False)
    path = f"{hooks_path(hook_id=hook_id)}/deliveries"
    await keep(rest, hook_id, "waits")
    await keep(rest, hook_id, "dead", dead=True)
    for name in ("waits/retry", "dead/retry", "recover"):
        refused = await rest("POST", f"{path}/{name}", {})
        assert (refused.code, refused.json_body["message"]) == (409, "webhook_disabled"), name
    # The number of attempts is still that of the attempts.
    (waiting,) = (await rest("GET", path)).json_body["data"]
    (dead,) = (await rest("GET", f"{path}?status=dead")).json_body["data"]
    assert (waiting["attempts"], dead["attempts"], dead["reason"]) == (3, 3, "refused")
    # Enabled, the hook sends again.
    assert (await rest("PATCH", hooks_path(hook_id=hook_id), {"enabled": True})).code == 200
    assert (await rest("POST", f"{path}/dead/retry")).code == 202


@pytest_twisted.ensureDeferred
async def test_everything_of_the_account_is_made_again(rest: RestHarness, receiver: Any) -> None:
    for number in range(2):
        await keep(rest, await rest.create_hook(uri=receiver.url), f"d{number}", dead=True)
    answered = await rest("POST", f"{hooks_path()}/deliveries/recover", {"since": 0})
    assert (answered.code, answered.json_body["data"]) == (202, {"recovered": 2})
    await receiver.arrived(2)
    disabled = await rest.create_hook(enabled=False)
    await keep(rest, disabled, "of a disabled hook", dead=True)
    again = await rest("POST", f"{hooks_path()}/deliveries/recover", {"since": 0})
    assert again.json_body["data"] == {"recovered": 0}
    assert await ids(rest, f"{hooks_path()}/deliveries?status=dead") == ["of a disabled hook"]
    assert (await rest("POST", f"{hooks_path(STRANGER)}/deliveries/recover", {"since": 0})).code == 403


@pytest.mark.parametrize("since", ["yesterday", -1, 1.5, True, None])
@pytest_twisted.ensureDeferred
async def test_a_time_that_is_none(rest: RestHarness, since: Any) -> None:
    hook_id = await rest.create_hook()
    refused = await rest("POST", f"{hooks_path(hook_id=hook_id)}/deliveries/recover", {"since": since})
    assert (refused.code, list(refused.json_body["data"])) == (400, ["since"])


@pytest_twisted.ensureDeferred
async def test_unknown_deliveries_and_those_of_other_accounts_are_not_found(rest: RestHarness) -> None:
    hook_id = await rest.create_hook()
    await keep(rest, hook_id, "x")
    assert (await rest("GET", f"{hooks_path()}/deliveries?status=done")).code == 400
    assert (await rest("GET", f"{hooks_path(hook_id='f' * 32)}/deliveries")).code == 404
    assert (await rest("POST", f"{hooks_path(hook_id=hook_id)}/deliveries/nothing/retry")).code == 404
    assert (await rest("POST", f"{hooks_path(CHILD, hook_id)}/deliveries/x/retry")).code == 404
    assert (await rest("GET", f"{hooks_path(STRANGER)}/deliveries")).code == 403
    assert (await rest("POST", f"{hooks_path(STRANGER, hook_id)}/deliveries/x/retry")).code == 403
