"""The requests of monster-ui's webhooks app (``app.js`` of ``2600hz/monster-ui-webhooks``), as it sends them.

Its SDK puts the token into ``X-Auth-Token`` and everything else into ``{"data": …}``, also of a DELETE.
"""

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted
from attrs import evolve
from twisted.internet import reactor

from kazoo_bridge.config import Webhooks
from kazoo_bridge.kazoo import to_gregorian
from tests.rest.harness import RestHarness, hooks_path, until

MASK = "********"


@pytest.fixture
def webhooks() -> Webhooks:
    return evolve(Webhooks(), log_successful_attempts=True, retry_bad_status=False)


def form(uri: str, **more: Any) -> dict[str, Any]:
    """Return what the form sends: no number is one, and `enabled` is not among the fields."""
    return {
        "name": "desk",
        "hook": "channel_create",
        "include_subaccounts": False,
        "http_verb": "post",
        "retries": "2",
        "uri": uri,
        "format": "form-data",
        "custom_data": {},
        "custom_request_headers": {},
        **more,
    }


@pytest_twisted.ensureDeferred
async def test_a_hook_is_created_edited_toggled_and_deleted(rest: RestHarness, receiver: Any) -> None:
    available = (await rest("GET", "/v2/webhooks")).json_body["data"]
    assert {"channel_create", "object", "everything"} <= {one["id"] for one in available}
    assert all(isinstance(one["modifiers"], dict) for one in available)
    assert "all" not in {one["id"] for one in available}  # the app adds it itself

    created = await rest("PUT", hooks_path(), form(receiver.url))
    assert created.code == 201
    hook_id = created.json_body["data"]["id"]
    path = hooks_path(hook_id=hook_id)
    listed = (await rest("GET", hooks_path())).json_body["data"]
    assert [(one["id"], one["enabled"], "disable_reason" in one) for one in listed] == [
        (hook_id, True, False)
    ]

    edited = form(
        receiver.url,
        hook="object",
        group="night",
        custom_data={"type": "user", "action": "all", "own": "x", "": ""},
        custom_request_headers={"X-Api-Key": "hunter2", "": ""},
    )
    assert (await rest("POST", path, edited)).json_body["data"]["name"] == "desk"
    # The app reads the hook, changes one key, and sends everything that it has read.
    details = (await rest("GET", path)).json_body["data"]
    assert details["custom_data"] == {"type": "user", "action": "all", "own": "x"}
    assert details["custom_request_headers"] == details["headers"] == {"x-api-key": MASK}
    toggled = await rest("POST", path, {**details, "enabled": False})
    assert (toggled.code, toggled.json_body["data"]["enabled"]) == (200, False)
    # An edit of its own name for them counts, though the others come back as they were shown.
    renamed = {**details, "custom_request_headers": {"x-other": "hunter3", "x-api-key": MASK}}
    assert (await rest("POST", path, renamed)).json_body["data"]["headers"] == {
        "x-other": MASK,
        "x-api-key": MASK,
    }
    assert (await rest("POST", path, details)).json_body["data"]["headers"] == {"x-api-key": MASK}
    assert (await rest("PATCH", path, {"enabled": True})).json_body["data"]["enabled"] is True
    # The form has the masks, which keep the values, under the app's own name only.
    again = form(receiver.url, http_verb="get", custom_request_headers=details["custom_request_headers"])
    del again["format"]
    assert (await rest("POST", path, again)).code == 200
    assert (await rest("POST", f"{path}/test")).code == 200
    assert receiver.received[-1].headers["x-api-key"] == "hunter2"
    assert (await rest("POST", path, form(receiver.url))).code == 200
    assert "headers" not in (await rest("GET", path)).json_body["data"]

    deleted = await rest("DELETE", path, {})
    assert (deleted.code, deleted.json_body["data"]["name"]) == (200, "desk")


@pytest_twisted.ensureDeferred
async def test_the_history_of_a_hook(rest: RestHarness, receiver: Any) -> None:
    receiver.statuses = [500]
    hook_id = (await rest("PUT", hooks_path(), form(receiver.url))).json_body["data"]["id"]
    await rest.publish_calls()
    now = to_gregorian(reactor.seconds())
    history = f"{hooks_path(hook_id=hook_id)}/attempts"
    day = f"created_from={now - 43_200}&created_to={now + 43_200}"

    async def attempts() -> Any:
        return (await rest("GET", f"{history}?{day}&page_size=10")).json_body["data"]

    (attempt,) = await until(attempts)
    assert (attempt["method"], attempt["result"], attempt["reason"]) == (
        "post",
        "failure",
        "bad response code",
    )
    assert attempt["resp_status_code"] == attempt["response_code"] == "500"
    assert type(attempt["retries"]) is int
    assert abs(attempt["timestamp"] - now) < 60
    before = f"created_from={now - 90_000}&created_to={now - 43_200}"
    assert (await rest("GET", f"{history}?{before}")).json_body["data"] == []


@pytest_twisted.ensureDeferred
async def test_all_hooks_that_the_server_has_disabled_are_enabled(rest: RestHarness) -> None:
    hook_id = await rest.create_hook()
    await rest.disable_hook(hook_id)
    (listed,) = (await rest("GET", hooks_path())).json_body["data"]
    assert (listed["enabled"], bool(listed["disable_reason"])) == (False, True)
    assert (await rest("PATCH", hooks_path(), {"re-enable": True})).code == 200
    (listed,) = (await rest("GET", hooks_path())).json_body["data"]
    assert listed["enabled"] is True
