from __future__ import annotations

import json
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor

from kazoo_bridge.config import Webhooks
from kazoo_bridge.interfaces import Account, HookAuthor, Principal, StorageUnavailable, StoredHook
from kazoo_bridge.kazoo import to_gregorian
from kazoo_bridge.rest.resources.hook_actions import HookActionResource
from kazoo_bridge.rest.resources.webhooks import WebhookResource
from tests.rest.fakes import FakeDirectory
from tests.rest.harness import ACCOUNT, CHILD, HOOK_DOCUMENT, RestHarness, hooks_path, make_call, until
from tests.rest.site_harness import running_site

NO_ATTEMPTS = {
    "successes": 0,
    "failures": 0,
    "failures_in_window": 0,
    "deliveries_waiting": 0,
    "deliveries_dead": 0,
    "events_missed": 0,
    "missed_by_reason": {},
}


@pytest_twisted.ensureDeferred
async def test_the_list_of_hooks_is_filtered_and_paged(rest: RestHarness) -> None:
    for number in range(7):
        more = {"custom_data": {"number": str(number)}} if number % 2 else {}
        assert (
            await rest(
                "PUT", hooks_path(), {**HOOK_DOCUMENT, "name": f"n{number}", "retries": number % 5, **more}
            )
        ).code == 201

    async def names(query: str) -> list[str]:
        answered = await rest("GET", f"{hooks_path()}?{query}")
        assert answered.json_body["page_size"] == len(answered.json_body["data"])
        return [hook["name"] for hook in answered.json_body["data"]]

    everybody = [f"n{number}" for number in range(7)]
    assert await names("") == everybody
    assert await names("filter_name=n3") == ["n3"]
    assert await names("filter_retries=1&filter_not_name=n1") == ["n6"]
    assert await names("has_key=custom_data.number") == ["n1", "n3", "n5"]
    assert await names("created_from=1&modified_to=99999999999") == everybody
    assert await names("created_to=1") == []
    assert await names("_=cachebuster&whatever=1") == everybody
    found, key = [], ""
    for size in (3, 3, 1):
        envelope = (await rest("GET", f"{hooks_path()}?page_size=3{key}")).json_body
        assert len(envelope["data"]) == envelope["page_size"] == size
        found += [hook["name"] for hook in envelope["data"]]
        key = f"&start_key={envelope.get('next_start_key')}"
    assert found == everybody
    assert "next_start_key" not in envelope
    paged = (await rest("GET", f"{hooks_path()}?page_size=2&has_key=custom_data.number")).json_body
    assert [hook["name"] for hook in paged["data"]] == ["n1", "n3"]
    of_another_list = await rest("GET", f"{hooks_path(CHILD)}?start_key={paged['next_start_key']}")
    assert (of_another_list.code, list(of_another_list.json_body["data"])) == (400, ["start_key"])


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("created_from=x", "created_from"),
        ("modified_to=", "modified_to"),
        ("page_size=0", "page_size"),
        ("page_size=x", "page_size"),
        ("start_key=x", "start_key"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_parameters_that_make_no_sense(rest: RestHarness, query: str, field: str) -> None:
    answered = await rest("GET", f"{hooks_path()}?{query}")
    assert (answered.code, answered.json_body["message"]) == (400, "validation error")
    assert list(answered.json_body["data"]) == [field]


@pytest_twisted.ensureDeferred
async def test_a_patch_replaces_custom_data_as_a_whole(rest: RestHarness) -> None:
    hook_id = await rest.create_hook(custom_data={"a": "1"})
    patch = {"custom_data": {"b": "2"}}
    patched = await rest("PATCH", hooks_path(hook_id=hook_id), patch)
    assert patched.json_body["data"]["custom_data"] == {"b": "2"}
    hook_id = await rest.create_hook(hook="object", custom_data={"type": "user", "action": "all"})
    refused = await rest("PATCH", hooks_path(hook_id=hook_id), {"custom_data": {"type": "device"}})
    assert refused.code == 400
    assert list(refused.json_body["data"]) == ["custom_data.action"]
    assert list(refused.json_body["data"]["custom_data.action"]) == ["required"]


@pytest_twisted.ensureDeferred
async def test_the_life_of_a_hook(rest: RestHarness) -> None:
    created = await rest("PUT", hooks_path(), HOOK_DOCUMENT)
    assert created.code == 201
    envelope = created.json_body
    assert envelope["status"] == "success"
    assert envelope["auth_token"] == rest.token
    assert envelope["version"]
    assert len(envelope["request_id"]) == 32
    assert created.headers.getRawHeaders("etag") == [f'"{envelope["revision"]}"']
    hook_id = envelope["data"]["id"]
    assert envelope["data"] == {
        **HOOK_DOCUMENT,
        "id": hook_id,
        "http_verb": "post",
        "format": "form-data",
        "enabled": True,
        "retries": 2,
        "include_subaccounts": False,
        "include_internal_legs": True,
        "health": NO_ATTEMPTS,
    }
    listed = (await rest("GET", hooks_path())).json_body
    assert listed["data"] == [
        {"id": hook_id, "hook": "channel_create", "name": "n", "uri": HOOK_DOCUMENT["uri"], "enabled": True}
    ]
    assert listed["page_size"] == 1
    patched = (
        await rest(
            "PATCH", hooks_path(hook_id=hook_id), {"group": "g", "custom_data": {"k": "v"}, "retries": None}
        )
    ).json_body
    assert (patched["data"]["group"], patched["data"]["custom_data"], patched["data"]["retries"]) == (
        "g",
        {"k": "v"},
        2,
    )
    assert patched["revision"] != envelope["revision"]
    replaced = (
        await rest("POST", hooks_path(hook_id=hook_id), {**HOOK_DOCUMENT, "name": "other"})
    ).json_body["data"]
    assert replaced["name"] == "other"
    assert "group" not in replaced
    assert (await rest("GET", hooks_path(hook_id=hook_id))).json_body["data"] == replaced
    assert (await rest("DELETE", hooks_path(hook_id=hook_id))).json_body["data"] == replaced
    assert (await rest("GET", hooks_path(hook_id=hook_id))).code == 404
    assert (await rest("GET", hooks_path())).json_body["data"] == []


@pytest_twisted.ensureDeferred
async def test_validation_errors(rest: RestHarness) -> None:
    answered = await rest(
        "PUT", hooks_path(), {"hook": "channel_party", "retries": 9, "uri": "http://localhost.invalid./x"}
    )
    assert answered.code == 400
    assert answered.json_body["message"] == "validation error"
    assert {field: sorted(rules) for field, rules in answered.json_body["data"].items()} == {
        "hook": ["enum"],
        "name": ["required"],
        "retries": ["maximum"],
    }
    assert "channel_create" in answered.json_body["data"]["hook"]["enum"]["target"]
    forbidden = await rest("PUT", hooks_path(), {**HOOK_DOCUMENT, "uri": "http://10.0.0.1/"})
    assert list(forbidden.json_body["data"]) == ["uri"]
    assert forbidden.code == 400


@pytest_twisted.ensureDeferred
async def test_health_of_all_hooks(rest: RestHarness, receiver: Any) -> None:
    """In one request, in the order of the list; attempts are counted from the hook's beginning on."""
    good: str = (await rest("PUT", hooks_path(), {**HOOK_DOCUMENT, "uri": receiver.url})).json_body["data"][
        "id"
    ]
    bad = await rest.create_failing_hook()
    assert (await rest("POST", hooks_path(ACCOUNT, good) + "/test")).code == 200
    assert (await rest("POST", hooks_path(ACCOUNT, bad) + "/test")).code == 200
    assert (await rest("POST", hooks_path(ACCOUNT, bad) + "/test")).code == 200
    answer = await rest("GET", hooks_path() + "/health")
    assert [
        (one["id"], one["successes"], one["failures"], one["deliveries_waiting"])
        for one in answer.json_body["data"]
    ] == [
        (good, 1, 0, 0),
        (bad, 0, 2, 0),
    ]
    one_page = await rest("GET", hooks_path() + "/health?page_size=1")
    assert [one["id"] for one in one_page.json_body["data"]] == [good]
    assert one_page.json_body["next_start_key"]


@pytest_twisted.ensureDeferred
async def test_health_of_a_hook(rest: RestHarness, receiver: Any) -> None:
    made = await rest("PUT", hooks_path(), {**HOOK_DOCUMENT, "uri": receiver.url, "retries": 0})
    hook_id = made.json_body["data"]["id"]
    assert made.json_body["data"]["health"] == NO_ATTEMPTS
    await rest.publish_calls()
    await receiver.arrived(1)

    async def succeeded() -> Any:
        return (await rest.get_hook(hook_id))["health"].get("last_success")

    assert abs(await until(succeeded) - to_gregorian(reactor.seconds())) < 30
    receiver.statuses = [500]
    await rest.node.bus.publish("callevt", "call.CHANNEL_CREATE.x", make_call(ACCOUNT, "x"))

    async def failed() -> Any:
        return (await rest.get_hook(hook_id))["health"]["failures_in_window"] >= 1

    await until(failed)
    assert "last_failure" in (await rest.get_hook(hook_id))["health"]
    await rest("PATCH", hooks_path(hook_id=hook_id), {"enabled": False})
    assert (await rest.get_hook(hook_id))["health"]["failures_in_window"] == 0


@pytest_twisted.ensureDeferred
async def test_what_was_read_can_be_written_back(rest: RestHarness) -> None:
    hook_id = await rest.create_failing_hook()
    await rest.disable_hook(hook_id)
    read = await rest.get_hook(hook_id)
    assert (read["enabled"], read["disable_reason"]) == (False, "too many failed attempts")
    written = (await rest("POST", hooks_path(hook_id=hook_id), read)).json_body["data"]
    assert written == read
    enabled = (await rest("POST", hooks_path(hook_id=hook_id), {**read, "enabled": True})).json_body["data"]
    assert "disable_reason" not in enabled
    forged = (
        await rest("PATCH", hooks_path(hook_id=hook_id), {"disable_reason": "mine", "enabled": False})
    ).json_body["data"]
    assert "disable_reason" not in forged


class TestHookLimit:
    @pytest.fixture
    def webhooks(self) -> Webhooks:
        return Webhooks(max_hooks_per_account=2)

    @pytest_twisted.ensureDeferred
    async def test_an_account_has_a_limited_number_of_hooks(self, rest: RestHarness) -> None:
        first = await rest("PUT", hooks_path(), HOOK_DOCUMENT)
        assert (await rest("PUT", hooks_path(), {**HOOK_DOCUMENT, "enabled": False})).code == 201
        refused = await rest("PUT", hooks_path(), HOOK_DOCUMENT)
        assert (refused.code, refused.json_body["message"]) == (400, "validation error")
        details = refused.json_body["data"]["webhooks"]["maxItems"]
        assert details["target"] == 2
        assert details["message"].startswith("this account has the 2 hooks that an account may have")
        # A mistake in the document is reported first, and existing hooks can still be changed.
        assert list((await rest("PUT", hooks_path(), {**HOOK_DOCUMENT, "name": 1})).json_body["data"]) == [
            "name"
        ]
        hook_id = first.json_body["data"]["id"]
        assert (await rest("PATCH", hooks_path(hook_id=hook_id), {"name": "other"})).code == 200
        assert (await rest("PUT", hooks_path(CHILD), HOOK_DOCUMENT)).code == 201
        assert (await rest("DELETE", hooks_path(hook_id=hook_id))).code == 200
        assert (await rest("PUT", hooks_path(), HOOK_DOCUMENT)).code == 201


class RecordedWrites:
    """Webhooks with one hook, that keep who asks for which change, and make none."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    async def hook(self, account_id: str, hook_id: str) -> StoredHook:
        return StoredHook(hook_id, account_id, dict(HOOK_DOCUMENT), "1-x", 0, 0)

    def __getattr__(self, name: str) -> Any:
        async def write(*arguments: Any, soft: bool = True) -> StoredHook:
            self.asked.append((name, arguments[-1], soft))
            raise StorageUnavailable("recorded")

        return write


@pytest.mark.parametrize(
    ("verb", "path", "asked"),
    [
        ("PUT", "", ("create_hook", True)),
        ("POST", "/h", ("replace_hook", True)),
        ("PATCH", "/h", ("patch_hook", True)),
        ("POST", "/h/secret", ("update_secret", True)),
        ("DELETE", "/h/secret", ("update_secret", True)),
        ("DELETE", "/h", ("delete_hook", True)),
        ("DELETE", "/h?should_soft_delete=true", ("delete_hook", True)),
        ("DELETE", "/h?should_soft_delete=false", ("delete_hook", False)),
    ],
)
@pytest_twisted.ensureDeferred
async def test_who_writes_a_hook_and_how_it_is_deleted(verb: str, path: str, asked: tuple[str, bool]) -> None:
    principals = {"user": Principal(ACCOUNT, user_id="u1"), "account": Principal(ACCOUNT)}
    directory, writes = FakeDirectory({ACCOUNT: Account(ACCOUNT, "", "")}, principals), RecordedWrites()
    webhooks: Any = writes
    request_ids: list[str] = []
    async with running_site(
        WebhookResource(directory, webhooks), HookActionResource(directory, webhooks)
    ) as site:
        for token in principals:
            document = {"data": HOOK_DOCUMENT if "secret" not in path else {}}
            data = None if verb == "DELETE" else json.dumps(document).encode()
            answered = await site(f"{hooks_path()}{path}", verb=verb, token=token, raw=data)
            assert answered.code == 503
            request_ids.append(answered.json_body["request_id"])
    assert writes.asked == [
        (asked[0], HookAuthor(ACCOUNT, user_id, request_id), asked[1])
        for user_id, request_id in zip(("u1", None), request_ids, strict=True)
    ]


@pytest_twisted.ensureDeferred
async def test_a_deletion_for_good_may_be_asked_for_in_the_body() -> None:
    principals = {"user": Principal(ACCOUNT)}
    directory, writes = FakeDirectory({ACCOUNT: Account(ACCOUNT, "", "")}, principals), RecordedWrites()
    webhooks: Any = writes
    async with running_site(WebhookResource(directory, webhooks)) as site:
        bodies: list[dict[str, Any]] = [
            {"data": {"should_soft_delete": False}},
            {"should_soft_delete": False},
        ]
        for body in (*bodies, {"data": {}}):
            await site(f"{hooks_path()}/h", verb="DELETE", token="user", raw=json.dumps(body).encode())
    assert [soft for _, _, soft in writes.asked] == [False, False, True]
