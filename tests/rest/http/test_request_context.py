from __future__ import annotations

import json

import pytest
import pytest_twisted
from twisted.internet.defer import fail
from twisted.logger import capturedLogs

from kazoo_bridge.interfaces import StorageUnavailable
from tests.rest.harness import HOOK_DOCUMENT, RestHarness, hooks_path


@pytest_twisted.ensureDeferred
async def test_where_a_token_may_stand(rest: RestHarness) -> None:
    good = rest.token
    assert (await rest("GET", f"{hooks_path()}?auth_token={good}", token="")).code == 200
    assert (
        await rest("GET", hooks_path(), token="", headers={"Authorization": f"Bearer {good}"})
    ).code == 200
    body = json.dumps({"data": HOOK_DOCUMENT, "auth_token": good}).encode()
    assert (await rest("PUT", hooks_path(), token="", raw=body)).code == 201
    in_data = json.dumps({"data": {**HOOK_DOCUMENT, "auth_token": good}}).encode()
    made = await rest("PUT", hooks_path(), token="", raw=in_data)
    assert made.code == 201
    assert "auth_token" not in made.json_body["data"]


@pytest_twisted.ensureDeferred
async def test_a_request_id_is_kept(rest: RestHarness) -> None:
    assert (await rest("GET", "/v2/webhooks", headers={"X-Request-ID": "mine-1"})).json_body[
        "request_id"
    ] == "mine-1"
    assert (await rest("GET", "/v2/webhooks", headers={"X-Request-ID": "no good"})).json_body[
        "request_id"
    ] != "no good"


@pytest_twisted.ensureDeferred
async def test_a_storage_that_does_not_answer(rest: RestHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest.node.database, "read", lambda work: fail(StorageUnavailable("gone")))
    answered = await rest("GET", hooks_path())
    assert (answered.code, answered.json_body["message"]) == (503, "datastore_fault")


@pytest_twisted.ensureDeferred
async def test_a_defect_is_told_without_its_details(
    rest: RestHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rest.node.database, "read", lambda work: fail(RuntimeError("hunter2")))
    with capturedLogs():
        answered = await rest("GET", hooks_path())
    assert answered.code == 500
    assert "hunter2" not in answered.text_body
    assert answered.json_body["request_id"] in answered.text_body
