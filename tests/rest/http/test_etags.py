from __future__ import annotations

from typing import Any, cast

import pytest
import pytest_twisted
from twisted.web.iweb import IRequest
from twisted.web.test.requesthelper import DummyRequest

from kazoo_bridge.interfaces import StoredHook
from kazoo_bridge.rest.http.errors import ApiError
from kazoo_bridge.rest.http.etags import EntityTags, check_preconditions, is_not_modified
from kazoo_bridge.webhooks.hooks.hook_service import HookService
from tests.rest.harness import HOOK_DOCUMENT, RestHarness, hooks_path


def make_request(method: bytes, *headers: tuple[bytes, bytes]) -> IRequest:
    request = DummyRequest([])
    request.method = method
    for name, value in headers:
        request.requestHeaders.addRawHeader(name, value)
    return cast(IRequest, request)


@pytest.mark.parametrize(
    ("header", "reading", "writing"),
    [
        ('"r"', True, True),
        ("r", True, True),
        ('"x", "r"', True, True),
        ('"x","y" ,W/"r"', True, False),
        ('W/"r"', True, False),
        ("*", True, True),
        (" * ", True, True),
        ('"x"', False, False),
        ('"rr"', False, False),
        ("", False, False),
        ('"', False, False),
        (",,,", False, False),
        ('"r', False, False),
    ],
)
def test_which_tags_match(header: str, reading: bool, writing: bool) -> None:
    tags = EntityTags.parse(header)
    assert (tags.matches("r"), tags.matches_strongly("r")) == (reading, writing)


def test_no_header_is_no_condition() -> None:
    request = make_request(b"PATCH")
    assert EntityTags.from_request(request, "If-Match") is None
    check_preconditions(request, "r")
    assert not is_not_modified(make_request(b"GET"), "r")


def test_a_header_may_be_sent_several_times() -> None:
    request = make_request(b"PATCH", (b"If-Match", b'"a"'), (b"If-Match", b'"b"'))
    assert EntityTags.from_request(request, "If-Match") == EntityTags(frozenset("ab"))
    check_preconditions(request, "b")
    with pytest.raises(ApiError) as refused:
        check_preconditions(request, "c")
    assert refused.value.status == 412


@pytest.mark.parametrize(("method", "not_modified"), [(b"GET", True), (b"HEAD", True), (b"PATCH", False)])
def test_only_reading_is_answered_with_not_modified(method: bytes, not_modified: bool) -> None:
    assert is_not_modified(make_request(method, (b"If-None-Match", b"W/r")), "r") is not_modified


@pytest_twisted.ensureDeferred
async def test_reading_only_what_is_new(rest: RestHarness) -> None:
    created = await rest("PUT", hooks_path(), HOOK_DOCUMENT)
    path, tag = hooks_path(hook_id=created.json_body["data"]["id"]), created.headers.getRawHeaders("etag")[0]
    for header in (tag, f'"other", {tag}', f"W/{tag}", "*"):
        for verb in ("GET", "HEAD"):
            unchanged = await rest(verb, path, headers={"If-None-Match": header})
            assert (unchanged.code, unchanged.text_body) == (304, "")
            assert unchanged.headers.getRawHeaders("etag") == [tag]
            assert unchanged.headers.getRawHeaders("access-control-allow-origin") == ["*"]
    changed = await rest("GET", path, headers={"If-None-Match": '"other"'})
    assert changed.code == 200
    assert f'"{changed.json_body["revision"]}"' == tag
    assert (await rest("GET", hooks_path(), headers={"If-None-Match": "*"})).code == 200


@pytest.mark.parametrize(
    ("verb", "data"),
    [("POST", {**HOOK_DOCUMENT, "name": "new"}), ("PATCH", {"name": "new"}), ("DELETE", None)],
)
@pytest_twisted.ensureDeferred
async def test_writing_only_over_what_was_read(rest: RestHarness, verb: str, data: object) -> None:
    created = await rest("PUT", hooks_path(), HOOK_DOCUMENT)
    path, old = hooks_path(hook_id=created.json_body["data"]["id"]), created.headers.getRawHeaders("etag")[0]
    fresh = (await rest("PATCH", path, {"group": "g"})).headers.getRawHeaders("etag")[0]
    for headers in (
        {"If-Match": old},
        {"If-Match": f"W/{fresh}"},
        {"If-None-Match": fresh},
        {"If-None-Match": "*"},
    ):
        refused = await rest(verb, path, data, headers=headers)
        assert (refused.code, refused.json_body["message"]) == (412, "precondition_failed")
    kept = (await rest("GET", path)).json_body
    assert (kept["data"]["name"], f'"{kept["revision"]}"') == ("n", fresh)
    assert (await rest(verb, path, data, headers={"If-Match": f"{old}, {fresh}"})).code == 200


@pytest_twisted.ensureDeferred
async def test_a_change_between_reading_and_writing_is_a_conflict(
    rest: RestHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    created = await rest("PUT", hooks_path(), HOOK_DOCUMENT)
    path, tag = hooks_path(hook_id=created.json_body["data"]["id"]), created.headers.getRawHeaders("etag")[0]
    replace = HookService.replace

    async def beaten(self: HookService, hook: StoredHook, given: dict[str, Any], *author: Any) -> StoredHook:
        monkeypatch.undo()
        await replace(self, hook, {**HOOK_DOCUMENT, "name": "faster"}, *author)
        return await replace(self, hook, given, *author)

    monkeypatch.setattr(HookService, "replace", beaten)
    refused = await rest("PATCH", path, {"name": "slower"}, headers={"If-Match": tag})
    assert (refused.code, refused.json_body["message"]) == (409, "datastore_conflict")
    assert (await rest("GET", path)).json_body["data"]["name"] == "faster"
