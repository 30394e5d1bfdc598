from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest_twisted
import treq
from twisted.internet import reactor
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.endpoints import serverFromString

from kazoo_bridge.config import Http
from kazoo_bridge.interfaces import HookType, Principal, StorageUnavailable
from kazoo_bridge.rest.resources.catalogue import SampleResource
from kazoo_bridge.rest.resources.webhooks import WebhookResource
from kazoo_bridge.rest.server.site import make_site

TYPES = [
    HookType(
        "news",
        "News",
        "What is new.",
        {
            "type": {
                "type": "object",
                "items": {"plain": {"friendly_name": "Plain"}, "secret": {"friendly_name": "Secret"}},
            }
        },
        [{"event_name": "plain", "size": 1}, {"event_name": "other", "size": 2}],
        frozenset({"secret"}),
    ),
    HookType(
        "bells",
        "Bells",
        "Ringing.",
        {"tone": {"type": "array", "items": ["high", "secret"]}, "odd": 3},
        (),
        frozenset({"secret"}),
    ),
]


class Directory:
    """Knows a super-admin, a customer, and when the storage is away."""

    def authenticate(self, token: str) -> Deferred[Principal | None]:
        if token == "away":
            return fail(StorageUnavailable("away"))
        known = {"admin": Principal("a" * 32, superadmin=True), "customer": Principal("b" * 32)}
        return succeed(known.get(token))


@pytest_twisted.async_yield_fixture
async def base() -> AsyncIterator[str]:
    directory: Any = Directory()
    unused: Any = None
    resources = [WebhookResource(directory, unused, unused, TYPES, "node"), SampleResource(TYPES, "node")]
    site = make_site(reactor, resources, "node", Http())
    port = await serverFromString(reactor, "tcp:0:interface=127.0.0.1").listen(site)
    yield f"http://127.0.0.1:{port.getHost().port}/v2/webhooks"
    await port.stopListening()


async def get(url: str, token: str = "") -> Any:
    response = await treq.get(url, headers={"X-Auth-Token": token} if token else {}, persistent=False)
    response.envelope = json.loads(await response.text())
    return response


def choices(envelope: Any) -> tuple[list[str], list[str]]:
    bells, news = envelope["data"]
    return bells["modifiers"]["tone"]["items"], list(news["modifiers"]["type"]["items"])


@pytest_twisted.ensureDeferred
async def test_what_only_super_admins_see(base: str) -> None:
    for token in ("", "bad", "customer", "away"):
        answered = await get(base, token)
        assert answered.code == 200
        assert choices(answered.envelope) == (["high"], ["plain"])
        assert ("version" in answered.envelope) == (token == "customer")
    assert choices((await get(base, "admin")).envelope) == (["high", "secret"], ["plain", "secret"])
    assert TYPES[0].modifiers["type"]["items"].keys() == {"plain", "secret"}


@pytest_twisted.ensureDeferred
async def test_samples(base: str) -> None:
    assert (await get(f"{base}/samples")).envelope["data"] == ["webhooks_news"]
    assert (await get(f"{base}/samples/webhooks_news")).envelope["data"] == list(TYPES[0].samples)
    assert (await get(f"{base}/samples/webhooks_news?filter_event_name=other")).envelope["data"] == [
        TYPES[0].samples[1]
    ]
    assert (await get(f"{base}/samples/webhooks_news?filter_size=3")).envelope["data"] == []
    for unknown in ("webhooks_bells", "webhooks_none", "news", "x"):
        answered = await get(f"{base}/samples/{unknown}")
        assert (answered.code, answered.envelope["message"]) == (404, "bad_identifier")
    assert (await get(f"{base}/samples/webhooks_news?created_from=x")).code == 400
