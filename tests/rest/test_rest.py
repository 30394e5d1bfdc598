from __future__ import annotations

import json

import pytest
import pytest_twisted
from twisted.internet.defer import fail
from twisted.logger import capturedLogs, formatEvent

from kazoo_bridge.interfaces import StorageUnavailable
from tests.rest.rest_client import CHILD, GOOD, STRANGER, Client, hooks


@pytest_twisted.ensureDeferred
async def test_the_life_of_a_hook(rest: Client) -> None:
    created = await rest("PUT", hooks(), GOOD)
    assert created.code == 201
    envelope = created.json_body
    assert envelope["status"] == "success"
    assert envelope["auth_token"] == rest.token
    assert envelope["version"]
    assert len(envelope["request_id"]) == 32
    assert created.headers.getRawHeaders("etag") == [f'"{envelope["revision"]}"']
    hook_id = envelope["data"]["id"]
    assert envelope["data"] == {
        **GOOD,
        "id": hook_id,
        "http_verb": "post",
        "format": "form-data",
        "enabled": True,
        "retries": 2,
        "include_subaccounts": False,
        "include_internal_legs": True,
        "health": {"successes": 0, "failures": 0, "failures_in_window": 0, "deliveries_waiting": 0},
    }
    listed = (await rest("GET", hooks())).json_body
    assert listed["data"] == [
        {"id": hook_id, "hook": "channel_create", "name": "n", "uri": GOOD["uri"], "enabled": True}
    ]
    assert listed["page_size"] == 1
    patched = (
        await rest(
            "PATCH", hooks(hook_id=hook_id), {"group": "g", "custom_data": {"k": "v"}, "retries": None}
        )
    ).json_body
    assert (patched["data"]["group"], patched["data"]["custom_data"], patched["data"]["retries"]) == (
        "g",
        {"k": "v"},
        2,
    )
    assert patched["revision"] != envelope["revision"]
    replaced = (await rest("POST", hooks(hook_id=hook_id), {**GOOD, "name": "other"})).json_body["data"]
    assert replaced["name"] == "other"
    assert "group" not in replaced
    assert (await rest("GET", hooks(hook_id=hook_id))).json_body["data"] == replaced
    assert (await rest("DELETE", hooks(hook_id=hook_id))).json_body["data"] == replaced
    assert (await rest("GET", hooks(hook_id=hook_id))).code == 404
    assert (await rest("GET", hooks())).json_body["data"] == []


@pytest_twisted.ensureDeferred
async def test_who_gets_in(rest: Client) -> None:
    for path, token, code, word in (
        (hooks(), "", 401, "invalid_credentials"),
        (hooks(), "wrong", 401, "invalid_credentials"),
        (hooks(CHILD), rest.token, 200, None),
        (hooks(STRANGER), rest.token, 403, "forbidden"),
        (hooks("d" * 32), rest.token, 403, "forbidden"),
        (hooks("nonsense"), rest.token, 403, "forbidden"),
    ):
        answered = await rest("GET", path, token=token)
        assert (answered.code, answered.json_body.get("message")) == (code, word)
        if code == 401:
            assert "version" not in answered.json_body
            assert "auth_token" not in answered.json_body


@pytest_twisted.ensureDeferred
async def test_a_super_admin_is_told_that_an_account_does_not_exist(rest: Client) -> None:
    await rest.bridge.accounts.create("e" * 32, superadmin=True)
    await rest.bridge.directory.load()
    token = (await rest.bridge.tokens.create("e" * 32)).token
    assert (await rest("GET", hooks(STRANGER), token=token)).code == 200
    assert (await rest("GET", hooks("d" * 32), token=token)).code in (403, 404)


@pytest_twisted.ensureDeferred
async def test_where_a_token_may_stand(rest: Client) -> None:
    good = rest.token
    assert (await rest("GET", f"{hooks()}?auth_token={good}", token="")).code == 200
    assert (await rest("GET", hooks(), token="", Authorization=f"Bearer {good}")).code == 200
    body = json.dumps({"data": GOOD, "auth_token": good}).encode()
    assert (await rest("PUT", hooks(), token="", raw=body)).code == 201
    in_data = json.dumps({"data": {**GOOD, "auth_token": good}}).encode()
    made = await rest("PUT", hooks(), token="", raw=in_data)
    assert made.code == 201
    assert "auth_token" not in made.json_body["data"]


@pytest_twisted.ensureDeferred
async def test_no_token_in_the_access_log(rest: Client) -> None:
    with capturedLogs() as logs:
        await rest("GET", f"{hooks()}?auth_token={rest.token}", token="")
        await rest("GET", f"{hooks()}?auth_token=hunter2", token="")
    text = "\n".join(formatEvent(event) for event in logs)
    assert f"GET {hooks()}" in text
    assert rest.token not in text
    assert "hunter2" not in text


@pytest.mark.parametrize(
    ("raw", "code", "message"),
    [
        (b"{", 400, "parse error"),
        (b"[]", 400, "parse error"),
        (b'{"data": 3}', 400, "parse error"),
        (b"", 400, "parse error"),
        (b'"' + b"x" * 1_100_000 + b'"', 413, "too_large"),
        (b"[" * 100_000, 400, "parse error"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_bad_bodies(rest: Client, raw: bytes, code: int, message: str) -> None:
    answered = await rest("PUT", hooks(), raw=raw)
    assert answered.code == code
    assert answered.json_body["message"].startswith(message)
    assert answered.json_body["error"] == str(code)


@pytest_twisted.ensureDeferred
async def test_validation_errors(rest: Client) -> None:
    answered = await rest(
        "PUT", hooks(), {"hook": "channel_party", "retries": 9, "uri": "http://localhost.invalid./x"}
    )
    assert answered.code == 400
    assert answered.json_body["message"] == "validation error"
    assert {field: sorted(rules) for field, rules in answered.json_body["data"].items()} == {
        "hook": ["enum"],
        "name": ["required"],
        "retries": ["maximum"],
    }
    assert "channel_create" in answered.json_body["data"]["hook"]["enum"]["target"]
    forbidden = await rest("PUT", hooks(), {**GOOD, "uri": "http://10.0.0.1/"})
    assert list(forbidden.json_body["data"]) == ["uri"]
    assert forbidden.code == 400


@pytest_twisted.ensureDeferred
async def test_paths_and_verbs(rest: Client) -> None:
    missing = await rest("GET", "/v2/nothing")
    assert (missing.code, missing.json_body["message"]) == (404, "bad_identifier")
    wrong = await rest("DELETE", "/v2/webhooks")
    assert (wrong.code, wrong.json_body["message"]) == (405, "invalid_method")
    assert "GET" in wrong.headers.getRawHeaders("allow")[0]
    preflight = await rest("OPTIONS", hooks(), token="")
    assert preflight.code == 200
    assert preflight.headers.getRawHeaders("access-control-allow-origin") == ["*"]
    assert "X-Auth-Token" in preflight.headers.getRawHeaders("access-control-allow-headers")[0]
    assert (await rest("GET", hooks())).headers.getRawHeaders("access-control-allow-origin") == ["*"]


@pytest_twisted.ensureDeferred
async def test_the_catalogue_needs_no_token(rest: Client) -> None:
    answered = await rest("GET", "/v2/webhooks", token="")
    assert answered.code == 200
    assert "version" not in answered.json_body
    assert {"id", "name", "description", "modifiers"} == set(answered.json_body["data"][0])
    assert {"channel_create", "channel_answer", "channel_bridge", "channel_destroy"} <= {
        one["id"] for one in answered.json_body["data"]
    }


@pytest_twisted.ensureDeferred
async def test_a_request_id_is_kept(rest: Client) -> None:
    assert (await rest("GET", "/v2/webhooks", **{"X-Request-ID": "mine-1"})).json_body[
        "request_id"
    ] == "mine-1"
    assert (await rest("GET", "/v2/webhooks", **{"X-Request-ID": "no good"})).json_body[
        "request_id"
    ] != "no good"


@pytest_twisted.ensureDeferred
async def test_health(rest: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await rest("GET", "/healthz")).code == 200
    assert (await rest("GET", "/readyz")).code == 200
    monkeypatch.setattr(rest.bridge.bus, "unavailable_reason", lambda: "no connection")
    answered = await rest("GET", "/readyz")
    assert (answered.code, answered.text_body) == (503, "bus: no connection\n")
    assert (await rest("GET", "/healthz")).code == 200


@pytest_twisted.ensureDeferred
async def test_a_storage_that_does_not_answer(rest: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest.bridge.database, "read", lambda work: fail(StorageUnavailable("gone")))
    answered = await rest("GET", hooks())
    assert (answered.code, answered.json_body["message"]) == (503, "datastore_fault")


@pytest_twisted.ensureDeferred
async def test_a_defect_is_told_without_its_details(rest: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest.bridge.database, "read", lambda work: fail(RuntimeError("hunter2")))
    with capturedLogs():
        answered = await rest("GET", hooks())
    assert answered.code == 500
    assert "hunter2" not in answered.text_body
    assert answered.json_body["request_id"] in answered.text_body
