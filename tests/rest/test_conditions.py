from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted

from kazoo_bridge.interfaces import StoredHook
from kazoo_bridge.rest.http.etags import EntityTags
from kazoo_bridge.webhooks.hooks.hook_service import HookService
from tests.rest.rest_client import GOOD, Client, hooks


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
    assert tags is not None
    assert (tags.has("r"), tags.has_exactly("r")) == (reading, writing)


def test_no_header_is_no_condition() -> None:
    assert EntityTags.parse(None) is None


@pytest_twisted.ensureDeferred
async def test_reading_only_what_is_new(rest: Client) -> None:
    created = await rest("PUT", hooks(), GOOD)
    path, tag = hooks(hook_id=created.json_body["data"]["id"]), created.headers.getRawHeaders("etag")[0]
    for header in (tag, f'"other", {tag}', f"W/{tag}", "*"):
        for verb in ("GET", "HEAD"):
            unchanged = await rest(verb, path, **{"If-None-Match": header})
            assert (unchanged.code, unchanged.text_body) == (304, "")
            assert unchanged.headers.getRawHeaders("etag") == [tag]
            assert unchanged.headers.getRawHeaders("access-control-allow-origin") == ["*"]
    changed = await rest("GET", path, **{"If-None-Match": '"other"'})
    assert changed.code == 200
    assert f'"{changed.json_body["revision"]}"' == tag
    assert (await rest("GET", hooks(), **{"If-None-Match": "*"})).code == 200


@pytest.mark.parametrize(
    ("verb", "data"), [("POST", {**GOOD, "name": "new"}), ("PATCH", {"name": "new"}), ("DELETE", None)]
)
@pytest_twisted.ensureDeferred
async def test_writing_only_over_what_was_read(rest: Client, verb: str, data: object) -> None:
    created = await rest("PUT", hooks(), GOOD)
    path, old = hooks(hook_id=created.json_body["data"]["id"]), created.headers.getRawHeaders("etag")[0]
    fresh = (await rest("PATCH", path, {"group": "g"})).headers.getRawHeaders("etag")[0]
    for headers in (
        {"If-Match": old},
        {"If-Match": f"W/{fresh}"},
        {"If-None-Match": fresh},
        {"If-None-Match": "*"},
    ):
        refused = await rest(verb, path, data, **headers)
        assert (refused.code, refused.json_body["message"]) == (412, "precondition_failed")
    kept = (await rest("GET", path)).json_body
    assert (kept["data"]["name"], f'"{kept["revision"]}"') == ("n", fresh)
    assert (await rest(verb, path, data, **{"If-Match": f"{old}, {fresh}"})).code == 200


@pytest_twisted.ensureDeferred
async def test_a_change_between_reading_and_writing_is_a_conflict(
    rest: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    created = await rest("PUT", hooks(), GOOD)
    path, tag = hooks(hook_id=created.json_body["data"]["id"]), created.headers.getRawHeaders("etag")[0]
    replace = HookService.replace

    async def beaten(self: HookService, hook: StoredHook, given: dict[str, Any], **more: Any) -> StoredHook:
        monkeypatch.undo()
        await replace(self, hook, {**GOOD, "name": "faster"}, **more)
        return await replace(self, hook, given, **more)

    monkeypatch.setattr(HookService, "replace", beaten)
    refused = await rest("PATCH", path, {"name": "slower"}, **{"If-Match": tag})
    assert (refused.code, refused.json_body["message"]) == (409, "datastore_conflict")
    assert (await rest("GET", path)).json_body["data"]["name"] == "faster"
