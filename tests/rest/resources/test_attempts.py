from __future__ import annotations

from typing import Any

import pytest_twisted
from twisted.internet import reactor

from kazoo_bridge.kazoo import to_gregorian
from tests.rest.harness import HOOK_DOCUMENT, STRANGER, RestHarness, hooks_path, until


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
