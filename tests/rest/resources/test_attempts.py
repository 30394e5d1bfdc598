from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted
from attrs import evolve
from twisted.internet import reactor

from kazoo_bridge.config import Webhooks
from kazoo_bridge.kazoo import to_gregorian
from tests.rest.harness import (
    ACCOUNT,
    CHILD,
    HOOK_DOCUMENT,
    STRANGER,
    RestHarness,
    hooks_path,
    make_call,
    until,
)


@pytest_twisted.ensureDeferred
async def test_attempts_are_listed_newest_first_and_filtered(rest: RestHarness) -> None:
    first, second = await rest.create_failing_hook(), await rest.create_failing_hook(name="second")
    await rest.publish_calls()

    async def both() -> Any:
        listed = (await rest("GET", f"{hooks_path()}/attempts")).json_body["data"]
        return listed if {one["hook_id"] for one in listed} == {first, second} else None

    listed = await until(both)
    assert listed[0]["timestamp"] >= listed[-1]["timestamp"]
    assert abs(listed[0]["timestamp"] - to_gregorian(reactor.seconds())) < 30
    assert listed[0]["result"] == "failure"
    assert listed[0]["reason"] == "kazoo http client error"
    of_one = (await rest("GET", f"{hooks_path(hook_id=first)}/attempts")).json_body["data"]
    assert {one["hook_id"] for one in of_one} == {first}
    filtered = (await rest("GET", f"{hooks_path()}/attempts?filter_hook_id={second}")).json_body["data"]
    assert {one["hook_id"] for one in filtered} == {second}
    assert (await rest("GET", f"{hooks_path()}/attempts?created_to=1")).json_body["data"] == []
    assert (await rest("GET", f"{hooks_path(hook_id='f' * 32)}/attempts")).code == 404
    assert (await rest("GET", f"{hooks_path(STRANGER)}/attempts")).code == 403


@pytest_twisted.ensureDeferred
async def test_pages_of_attempts(rest: RestHarness, receiver: Any) -> None:
    made = await rest("PUT", hooks_path(), {**HOOK_DOCUMENT, "uri": receiver.url})
    hook_id = made.json_body["data"]["id"]
    for _ in range(5):
        await rest("POST", f"{hooks_path(hook_id=hook_id)}/test")
    seen: list[str] = []
    path = f"{hooks_path()}/attempts?page_size=2"
    start_key = ""
    for expected in (2, 2, 1):
        page = (await rest("GET", path + (f"&start_key={start_key}" if start_key else ""))).json_body
        assert len(page["data"]) == page["page_size"] == expected
        seen += [one["event_id"] for one in page["data"]]
        start_key = page.get("next_start_key", "")
    assert len(set(seen)) == 5
    assert not start_key


@pytest.fixture
def webhooks() -> Webhooks:
    return evolve(Webhooks(), log_successful_attempts=True, attempt_payload_limit=4000)


async def first_attempt(rest: RestHarness) -> Any:
    async def listed() -> Any:
        return await rest.get_data(f"{hooks_path()}/attempts")

    return (await until(listed))[-1]


@pytest.mark.parametrize("of_hook", [False, True])
@pytest_twisted.ensureDeferred
async def test_a_delivered_event_is_sent_again_under_its_id(
    rest: RestHarness, receiver: Any, of_hook: bool
) -> None:
    hook_id = await rest.create_hook(uri=receiver.url, format="json", max_age_s=3600)
    await rest.publish_calls()
    attempt = await first_attempt(rest)
    path = hooks_path(hook_id=hook_id if of_hook else "")
    replayed = await rest("POST", f"{path}/attempts/{attempt['id']}/replay")
    assert replayed.code == 202
    await receiver.arrived(2)
    first, second = receiver.received
    assert first.body == second.body
    delivery = replayed.json_body["data"]
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == delivery["id"]
    assert (delivery["status"], delivery["hook_id"], delivery["attempts"]) == ("pending", hook_id, 0)
    assert delivery["event_id"] == attempt["event_id"]


@pytest_twisted.ensureDeferred
async def test_only_attempts_of_the_account_are_replayed(rest: RestHarness, receiver: Any) -> None:
    await rest.create_hook(uri=receiver.url)
    other = await rest.create_hook(uri=receiver.url, hook="channel_destroy")
    await rest.publish_calls()
    attempt_id = (await first_attempt(rest))["id"]
    for path, status in (
        (f"{hooks_path(CHILD)}/attempts/{attempt_id}", 404),
        (f"{hooks_path(STRANGER)}/attempts/{attempt_id}", 403),
        (f"{hooks_path(hook_id=other)}/attempts/{attempt_id}", 404),
        (f"{hooks_path()}/attempts/{int(attempt_id) + 1000}", 404),
        (f"{hooks_path()}/attempts/x", 404),
        (f"{hooks_path()}/attempts/-1", 404),
        (f"{hooks_path()}/attempts/{'9' * 19}", 404),
    ):
        assert (await rest("POST", f"{path}/replay")).code == status, path
    assert len(receiver.received) == 1


@pytest_twisted.ensureDeferred
async def test_what_cannot_be_replayed_says_why(rest: RestHarness, receiver: Any) -> None:
    hook_id = await rest.create_hook(uri=receiver.url)
    await rest("POST", f"{hooks_path(hook_id=hook_id)}/test")
    attempt_id = (await first_attempt(rest))["id"]
    refused = await rest("POST", f"{hooks_path()}/attempts/{attempt_id}/replay")
    assert (refused.code, refused.json_body["message"]) == (409, "not_replayable")
    details = refused.json_body["data"]["attempt_id"]["not_kept"]
    assert details["message"] == "the attempt cannot be replayed: it was a sample: send another one"
    await rest("DELETE", hooks_path(hook_id=hook_id))
    await rest.create_hook(uri=receiver.url)
    body = {**make_call(ACCOUNT, "c"), "To": "x" * 4000}
    await rest.node.bus.publish("callevt", "call.CHANNEL_CREATE.c", body)
    await receiver.arrived(2)

    async def newest() -> Any:
        listed = await rest.get_data(f"{hooks_path()}/attempts")
        return listed[0] if len(listed) == 2 else None

    large = await until(newest)
    refused = await rest("POST", f"{hooks_path()}/attempts/{large['id']}/replay")
    assert "too large" in refused.json_body["data"]["attempt_id"]["not_kept"]["message"]
