from __future__ import annotations

import json
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred

from tests.rest.harness import ACCOUNT, CHILD, HOOK_DOCUMENT, STRANGER, RestHarness, hooks_path


@pytest_twisted.ensureDeferred
async def test_a_sample_is_sent_now(rest: RestHarness, receiver: Any) -> None:
    made = await rest(
        "PUT",
        hooks_path(),
        {**HOOK_DOCUMENT, "uri": f"{receiver.url}/t", "custom_data": {"own": "1"}, "enabled": False},
    )
    hook_id = made.json_body["data"]["id"]
    sent = await rest("POST", f"{hooks_path(hook_id=hook_id)}/test")
    assert sent.code == 200
    assert sent.json_body["data"]["result"] == "success"
    assert sent.json_body["data"]["resp_status_code"] == "200"
    assert sent.json_body["data"]["resp_body"] == "ok"
    (received,) = receiver.received
    assert received.headers["x-hook-id"] == hook_id
    assert b"hook_event=channel_create" in received.body
    assert f"account_id={ACCOUNT}".encode() in received.body
    assert b"own=1" in received.body
    receiver.statuses = [503]
    failed = (await rest("POST", f"{hooks_path(hook_id=hook_id)}/test")).json_body["data"]
    assert (failed["result"], failed["resp_status_code"]) == ("failure", "503")
    listed = (await rest("GET", f"{hooks_path(hook_id=hook_id)}/attempts")).json_body["data"]
    assert [one["result"] for one in listed] == ["failure", "success"]
    assert (await rest.get_hook(hook_id))["health"]["failures_in_window"] == 0
    assert sorted(failed["resp_headers"]) == ["content-type", "date", "server"]
    assert (await rest("POST", f"{hooks_path(hook_id='f' * 32)}/test")).code == 404
    assert (await rest("POST", f"{hooks_path(STRANGER, hook_id)}/test")).code == 403


@pytest.mark.parametrize(
    ("hook", "custom_data", "shown"),
    [
        ("all", {}, {"hook_event": "channel_create"}),
        ("parking", {}, {"event_name": "PARK_PARKED"}),
        ("object", {"type": "vmbox", "action": "doc_deleted"}, {"type": "vmbox", "action": "doc_deleted"}),
        ("object", {"type": "all", "action": "doc_edited"}, {"action": "doc_edited"}),
        ("notifications", {"type": "voicemail_new"}, {"event_name": "voicemail_new"}),
        ("inbound_fax", {}, {"event_name": "inbound_fax"}),
        ("conference", {"type": "mute-member"}, {"event": "mute-member"}),
        ("fax_status", {"type": "receive"}, {"fax_state": "receive"}),
        ("fax_status", {"type": "all"}, {"fax_state": "start"}),
    ],
)
@pytest_twisted.ensureDeferred
async def test_the_sample_is_of_the_chosen_kind(
    rest: RestHarness, receiver: Any, hook: str, custom_data: dict[str, str], shown: dict[str, str]
) -> None:
    hook_id = await rest.create_failing_hook(
        hook=hook, custom_data=custom_data, format="json", uri=receiver.url
    )
    await rest("POST", f"{hooks_path(hook_id=hook_id)}/test")
    payload = json.loads(receiver.received[0].body)
    assert {name: payload[name] for name in shown} == shown


@pytest_twisted.ensureDeferred
async def test_few_samples_are_sent_at_once(rest: RestHarness, receiver: Any) -> None:
    hook_id = (await rest("PUT", hooks_path(), {**HOOK_DOCUMENT, "uri": receiver.url})).json_body["data"][
        "id"
    ]
    receiver.statuses = [0]
    sending = [Deferred.fromCoroutine(rest("POST", f"{hooks_path(hook_id=hook_id)}/test")) for _ in range(5)]
    await receiver.arrived(5)
    refused = await rest("POST", f"{hooks_path(hook_id=hook_id)}/test")
    assert (refused.code, refused.json_body["error"]) == (429, "429")
    for request in receiver.hanging:
        request.finish()
    receiver.hanging.clear()
    for one in sending:
        assert (await one).json_body["data"]["result"] == "success"
    receiver.statuses = [200]
    assert (await rest("POST", f"{hooks_path(hook_id=hook_id)}/test")).code == 200


@pytest.mark.parametrize(
    ("data", "field", "rule"),
    [
        ({}, "re-enable", "required"),
        ({"re-enable": None}, "re-enable", "required"),
        ({"enabled": True}, "re-enable", "required"),
        ({"re-enable": False}, "re-enable", "enum"),
        ({"re-enable": 1}, "re-enable", "enum"),
        ({"re-enable": "yes"}, "re-enable", "enum"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_collections_are_only_re_enabled(rest: RestHarness, data: Any, field: str, rule: str) -> None:
    refused = await rest("PATCH", hooks_path(), data)
    assert refused.code == 400
    assert list(refused.json_body["data"][field]) == [rule]


@pytest.mark.parametrize(
    ("query", "raw"),
    [
        ("", b'{"data": {"re-enable": true}}'),
        ("", b'{"data": {"re-enable": "true"}}'),
        ("", b'{"re-enable": true}'),
        ("?re-enable=true", b""),
        ("?re-enable=true", b'{"data": {}}'),
    ],
)
@pytest_twisted.ensureDeferred
async def test_where_re_enable_may_stand(rest: RestHarness, query: str, raw: bytes) -> None:
    hook_id = await rest.create_failing_hook()
    await rest.disable_hook(hook_id)
    answered = await rest("PATCH", hooks_path() + query, raw=raw)
    assert (answered.code, answered.json_body["count"]) == (200, 1)
    assert (await rest.get_hook(hook_id))["enabled"]


@pytest_twisted.ensureDeferred
async def test_re_enabling_over_rest(rest: RestHarness) -> None:
    by_hand = await rest.create_failing_hook(enabled=False)
    own, of_child = await rest.create_failing_hook(), await rest.create_failing_hook(CHILD)
    await rest.disable_hook(own)
    await rest.disable_hook(of_child, CHILD)
    answered = await rest("PATCH", hooks_path(), {"re-enable": True})
    assert (answered.code, answered.json_body["data"]) == (200, "hooks updated")
    assert [(await rest.get_hook(one))["enabled"] for one in (by_hand, own)] == [False, True]
    assert not (await rest.get_hook(of_child, CHILD))["enabled"]
    await rest.disable_hook(own)
    await rest("PATCH", f"/v2/accounts/{ACCOUNT}/descendants/webhooks", {"re-enable": True})
    assert [
        (await rest.get_hook(one, of))["enabled"]
        for one, of in ((by_hand, ACCOUNT), (own, ACCOUNT), (of_child, CHILD))
    ] == [
        False,
        True,
        True,
    ]
    assert (
        await rest("PATCH", f"/v2/accounts/{STRANGER}/descendants/webhooks", {"re-enable": True})
    ).code == 403
