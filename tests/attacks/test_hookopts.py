"""Attacks through the options of a hook: its headers, modifiers, time-out and replays."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from attrs import evolve
from twisted.web.server import Request

from kazoo_bridge.config import Config, Egress, Storage
from kazoo_bridge.interfaces import Occurrence
from kazoo_bridge.webhooks.attempts.hidden_headers import hide_headers
from kazoo_bridge.webhooks.egress.receiver_response import MAX_BODY_BYTES
from kazoo_bridge.webhooks.hooks.hook_document import MAX_MODIFIERS_BYTES, InvalidDocument
from kazoo_bridge.webhooks.http.http_request import build_request
from kazoo_bridge.webhooks.http.sender import Outcome
from tests.rest.harness import HOOK_DOCUMENT, LOOPBACK, RestHarness, hooks_path, running_node
from tests.storage.sqlite_template import make_migrated_database
from tests.webhooks.hook_factory import ACCOUNT, RULES, make_hook
from tests.webhooks.receiving import Receiver


def cpu_seconds(work: Callable[[], Any]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def filled(make: Callable[[int], Any]) -> dict[str, Any]:
    """Modifiers of nearly the permitted size: one list, or as many keys as fit."""
    count = 1
    while len(json.dumps({"k": make(count + 50)})) < MAX_MODIFIERS_BYTES * 0.9:
        count += 50
    return {"k": make(count)}


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return evolve(
        Config(),
        storage=Storage(make_migrated_database(tmp_path / "b.sqlite3")),
        http=LOOPBACK,
        egress=evolve(Egress(), allowed_networks=("127.0.0.0/8",), redirect_bodies=True),
    )


@pytest_twisted.async_yield_fixture
async def rest(config: Config) -> AsyncIterator[RestHarness]:
    async with running_node(config) as harness:
        yield harness


class RedirectingReceiver(Receiver):
    """Redirects to `target`."""

    target = ""

    def render(self, request: Request) -> Any:
        answer = super().render(request)
        request.setResponseCode(307)
        request.setHeader("Location", self.target)
        return answer


@pytest_twisted.ensureDeferred
async def test_a_redirect_gives_another_host_no_header_of_the_hook(rest: RestHarness) -> None:
    source, thief = RedirectingReceiver(), Receiver()
    await source.start()
    source.target = await thief.start()
    headers = {"Authorization": "Bearer hunter2", "Cookie": "hunter2", "X-Api-Key": "hunter2"}
    hook_id = await rest.create_hook(uri=source.url, headers=headers)
    try:
        assert (await rest("POST", f"{hooks_path(hook_id=hook_id)}/test")).code == 200
        assert "hunter2" in str(source.received[0].headers)
        assert thief.received
        assert "hunter2" not in str(thief.received[0].headers)
    finally:
        await source.stop()
        await thief.stop()


@pytest.mark.parametrize(
    "headers",
    [
        {"X-A": "1\r\nHost: internal"},
        {"X-A\r\nHost: internal": "1"},
        {"X-A": "1\nTransfer-Encoding: chunked"},
        {"Transfer-Encoding": "chunked"},
        {"Content-Length": "0"},
        {"connection": "X-Hook-ID"},
        {"X-Hook-ID": "f" * 32},
        {"Webhook-Signature": "v1,forged"},
        {"X-A": "\x85"},
    ],
)
@pytest_twisted.ensureDeferred
async def test_no_header_changes_the_request_around_it(rest: RestHarness, headers: dict[str, str]) -> None:
    refused = await rest("PUT", hooks_path(), {**HOOK_DOCUMENT, "headers": headers})
    assert refused.code == 400
    assert [name.partition(".")[0] for name in refused.json_body["data"]] == ["headers"]


@pytest.mark.parametrize(
    "modifiers",
    [
        filled(lambda count: [f"v{number}" for number in range(count)]),
        filled(lambda count: [{} for _ in range(count)]),
        {f"k{number}": {"$in": list(range(30))} for number in range(90)},
        {f"k{number}": {"$not": {"$not": {"$not": {"$prefix": "a" * 40}}}} for number in range(25)},
        {f"k{number}": {"$gte": 0, "$lte": 10**17, "$exists": True} for number in range(30)},
    ],
    ids=["list", "objects", "choices", "negations", "bounds"],
)
def test_the_largest_modifiers_cost_little_per_event(modifiers: dict[str, Any]) -> None:
    hook = make_hook(modifiers=modifiers)
    payload = dict.fromkeys(modifiers, "9" * 18) | {"k": {"a": list(range(1000))}}
    occurrence = Occurrence("channel_create", ACCOUNT, payload)

    def match() -> None:
        for _ in range(100):
            hook.matches(occurrence)

    assert cpu_seconds(match) < 0.3


@pytest.mark.parametrize(
    "modifiers",
    [
        {f"k{number}": {"$bad": number} for number in range(900)},
        {"k": {f"${number}": number for number in range(1500)}},
        {"k": [{"$bad": 1}] * 1400},
        {"k": {"$in": [0] * 8000}},
    ],
    ids=["keys", "operators", "items", "choices"],
)
def test_wrong_modifiers_are_refused_briefly(modifiers: dict[str, Any]) -> None:
    document = {**HOOK_DOCUMENT, "modifiers": modifiers}

    def refuse() -> None:
        with pytest.raises(InvalidDocument) as refused:
            RULES.validate(document)
        assert len(json.dumps(refused.value.errors)) < 8000

    assert cpu_seconds(refuse) < 0.3


def test_a_deeply_nested_negation_is_refused() -> None:
    nested: Any = "a"
    for _ in range(50):
        nested = {"$not": nested}
    with pytest.raises(InvalidDocument) as refused:
        RULES.validate({**HOOK_DOCUMENT, "modifiers": {"k": nested}})
    assert list(refused.value.errors) == ["modifiers.k.$not.$not.$not.$not"]


def test_masking_echoed_headers_costs_little() -> None:
    words = " ".join(f"{number:07}" for number in range(50))
    hook = make_hook(headers={f"x-{number}": f"a{words} {'a' * number}b" for number in range(19)})
    request = build_request(hook, {}, "")
    outcome = Outcome(False, 500, headers={"X-Echo": "a" * 30_000}, body=b"a" * MAX_BODY_BYTES)
    assert cpu_seconds(lambda: hide_headers(hook, request, outcome)) < 0.1
