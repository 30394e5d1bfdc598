from __future__ import annotations

import json
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import fail

from kazoo_bridge.interfaces import StorageUnavailable
from tests.rest.harness import CHILD, HOOK_DOCUMENT, RestHarness, hooks_path
from tests.rest.raw_http import exchanged, request


async def created(rest: RestHarness) -> str:
    answered = await rest("POST", f"{hooks_path()}?verb=put", HOOK_DOCUMENT)
    assert answered.code == 201, answered.text_body
    return hooks_path(hook_id=answered.json_body["data"]["id"])


def body(verb: Any, data: Any = None, **more: Any) -> bytes:
    return json.dumps({"verb": verb, **({} if data is None else {"data": data}), **more}).encode()


@pytest_twisted.ensureDeferred
async def test_verbs_carried_in_the_query(rest: RestHarness) -> None:
    path = await created(rest)
    assert (await rest("POST", f"{path}?verb=GET")).json_body["data"]["name"] == "n"
    assert (await rest("POST", f"{path}?verb=Patch", {"name": "patched"})).json_body["data"][
        "name"
    ] == "patched"
    assert (await rest("POST", f"{path}?verb=POST", {**HOOK_DOCUMENT, "name": "whole"})).json_body["data"][
        "name"
    ] == "whole"
    assert (await rest("POST", f"{path}?verb=delete")).code == 200
    assert (await rest("GET", path)).code == 404


@pytest_twisted.ensureDeferred
async def test_verbs_carried_in_the_body(rest: RestHarness) -> None:
    assert (await rest("POST", hooks_path(), raw=body("PUT", HOOK_DOCUMENT))).code == 201
    path = await created(rest)
    assert (await rest("POST", path, raw=body("patch", {"name": "patched"}))).json_body["data"][
        "name"
    ] == "patched"
    assert (await rest("POST", path, token="", raw=body("get", auth_token=rest.token))).json_body["data"][
        "name"
    ] == "patched"
    # The query goes first, as in KAZOO.
    assert (await rest("POST", f"{path}?verb=get", raw=body("delete"))).code == 200
    assert (await rest("POST", path, raw=body("Delete"))).code == 200
    assert (await rest("GET", path)).code == 404


@pytest_twisted.ensureDeferred
async def test_a_verb_within_the_data_is_data(rest: RestHarness) -> None:
    path = await created(rest)
    answered = await rest("POST", path, {**HOOK_DOCUMENT, "custom_data": {"verb": "DELETE"}})
    assert answered.json_body["data"]["custom_data"] == {"verb": "DELETE"}
    assert (await rest("GET", path)).code == 200


@pytest_twisted.ensureDeferred
async def test_only_a_post_carries_verbs(rest: RestHarness) -> None:
    path = await created(rest)
    for verb in ("GET", "HEAD", "OPTIONS"):
        assert (await rest(verb, f"{path}?verb=DELETE")).code == 200
    assert (await rest("GET", path, raw=body("DELETE"))).code == 200
    assert (await rest("PATCH", f"{path}?verb=DELETE", {"name": "patched"})).json_body["data"][
        "name"
    ] == "patched"
    assert (await rest("GET", path)).code == 200


@pytest.mark.parametrize("verb", ["BREW", "", "OPTIONS", "HEAD", "TRACE", "GET,PUT", "%C5%BD"])
@pytest_twisted.ensureDeferred
async def test_carried_words_that_are_no_verbs(rest: RestHarness, verb: str) -> None:
    answered = await rest("POST", f"{hooks_path()}?verb={verb}", HOOK_DOCUMENT)
    assert (answered.code, answered.json_body["message"]) == (405, "invalid_method")
    assert "PUT" in answered.headers.getRawHeaders("allow")[0]


@pytest.mark.parametrize("verb", [3, True, [], {}, "brew"])
@pytest_twisted.ensureDeferred
async def test_carried_values_that_are_no_verbs(rest: RestHarness, verb: Any) -> None:
    assert (await rest("POST", hooks_path(), raw=body(verb, HOOK_DOCUMENT))).code == 405


@pytest_twisted.ensureDeferred
async def test_a_carried_verb_must_be_allowed_here_too(rest: RestHarness) -> None:
    refused = await rest("POST", f"{hooks_path()}?verb=delete")
    assert refused.code == 405
    assert set(refused.headers.getRawHeaders("allow")[0].split(", ")) >= {"GET", "PUT", "OPTIONS"}
    assert "DELETE" not in refused.headers.getRawHeaders("allow")[0]
    assert (await rest("POST", f"{hooks_path()}?verb=get", token="")).code == 401
    assert (await rest("POST", f"{hooks_path(CHILD)}?verb=get", raw=b'{"verb"')).code == 400


@pytest_twisted.ensureDeferred
async def test_head_answers_as_get_does_without_the_body(rest: RestHarness) -> None:
    path = await created(rest)
    for one in (path, hooks_path(), "/v2/webhooks", "/healthz"):
        got, head = await rest("GET", one), await rest("HEAD", one)
        assert (head.code, head.text_body) == (got.code, "")
        assert head.headers.getRawHeaders("content-type") == got.headers.getRawHeaders("content-type")
        assert head.headers.getRawHeaders("etag") == got.headers.getRawHeaders("etag")
    for one, code in (("/v2/nothing", 404), (hooks_path(hook_id="0" * 32), 404), (hooks_path("0" * 32), 403)):
        head = await rest("HEAD", one)
        assert (head.code, head.text_body) == (code, "")


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/v2",
        "/v2/webhooks",
        "/v2/nothing/at/all",
        "/healthz",
        "/v3/x",
        hooks_path(),
        hooks_path(hook_id="x") + "/",
    ],
)
@pytest_twisted.ensureDeferred
async def test_options_on_every_path(rest: RestHarness, path: str) -> None:
    answered = await rest("OPTIONS", path, token="", headers={"Origin": "http://ui.example"})
    assert (answered.code, answered.text_body) == (200, "")
    assert answered.headers.getRawHeaders("access-control-allow-origin") == ["*"]
    assert "PATCH" in answered.headers.getRawHeaders("access-control-allow-methods")[0]
    assert "OPTIONS" in answered.headers.getRawHeaders("allow")[0]
    assert (await rest("GET", path)).headers.getRawHeaders("access-control-allow-origin") == ["*"]


@pytest_twisted.ensureDeferred
async def test_options_tell_what_a_path_takes(rest: RestHarness) -> None:
    answered = await rest("OPTIONS", hooks_path(hook_id="x"), token="")
    assert answered.headers.getRawHeaders("allow") == ["DELETE, GET, HEAD, OPTIONS, PATCH, POST"]


@pytest.mark.parametrize("verb", ["DELETE", "BREW", "TRACE"])
@pytest_twisted.ensureDeferred
async def test_verbs_that_a_path_does_not_take(rest: RestHarness, verb: str) -> None:
    answered = await rest(verb, "/v2/webhooks", token="")
    assert (answered.code, answered.json_body["message"]) == (405, "invalid_method")
    assert "GET" in answered.headers.getRawHeaders("allow")[0]
    assert answered.headers.getRawHeaders("access-control-allow-origin") == ["*"]


@pytest_twisted.ensureDeferred
async def test_a_slash_at_the_end_makes_no_difference(rest: RestHarness) -> None:
    assert (await rest("GET", hooks_path() + "/")).json_body["data"] == []
    assert (await rest("GET", "/v2/webhooks/", token="")).code == 200
    answered = await rest("OPTIONS", "/", token="")
    assert answered.headers.getRawHeaders("allow") == ["GET, HEAD, OPTIONS"]


@pytest_twisted.ensureDeferred
async def test_a_large_body_carries_a_method_once_its_client_is_known(rest: RestHarness) -> None:
    padding = " " * 100_000
    large = body("PUT", HOOK_DOCUMENT, padding=padding)
    assert (await rest("POST", hooks_path(), raw=large)).code == 201
    wrong = await rest("POST", hooks_path(), raw=large, token="wrong")
    assert (wrong.code, wrong.json_body["message"]) == (401, "invalid_credentials")
    none = await rest("POST", hooks_path(hook_id="x"), raw=large, token="")
    assert (none.code, none.json_body["message"]) == (413, "too_large")
    brew = await rest("POST", hooks_path(), raw=body("brew", padding=padding))
    assert (brew.code, brew.json_body["message"]) == (405, "invalid_method")
    in_body = await rest(
        "POST", hooks_path(), token="", raw=body("PUT", HOOK_DOCUMENT, auth_token=rest.token)
    )
    assert in_body.code == 201


@pytest_twisted.ensureDeferred
async def test_a_storage_that_fails_while_a_large_body_waits(
    rest: RestHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rest.node.database, "read", lambda work: fail(StorageUnavailable("gone")))
    answered = await rest("POST", hooks_path(), raw=body("PUT", padding=" " * 100_000))
    assert (answered.code, answered.json_body["message"]) == (503, "datastore_fault")


@pytest.mark.parametrize("path", ["/metrics", "/readyz", "/healthz"])
@pytest_twisted.ensureDeferred
async def test_what_proxies_hide_has_one_spelling(rest: RestHarness, path: str) -> None:
    assert (await rest("GET", f"{path}?x=1")).code == 200
    encoded = f"/%{ord(path[1]):x}{path[2:]}"
    for spelling in (f"{path}/", f"/{path}", f"{path}//", encoded, f"/%2F{path[1:]}", f"/%2f{path}"):
        code, _, _ = await exchanged(rest, request(rest, spelling.encode()))
        assert code == 404, spelling
    code, _, _ = await exchanged(rest, request(rest, b"x" + path[1:].encode()))
    assert code == 400
