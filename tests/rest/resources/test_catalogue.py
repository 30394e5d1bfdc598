from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_twisted

from kazoo_bridge.interfaces import HookType, Principal
from kazoo_bridge.rest.resources.catalogue import CatalogueResource, list_hook_types
from tests.rest.fakes import FakeDirectory
from tests.rest.harness import RestHarness
from tests.rest.site_harness import SiteHarness, running_site

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
PATH = "/v2/webhooks"


@pytest_twisted.async_yield_fixture
async def site() -> AsyncIterator[SiteHarness]:
    directory = FakeDirectory(
        tokens={"admin": Principal("a" * 32, superadmin=True), "customer": Principal("b" * 32)}
    )
    async with running_site(CatalogueResource(directory, lambda: TYPES)) as harness:
        yield harness


def choices(hook_types: Any) -> tuple[list[str], list[str]]:
    bells, news = hook_types
    return bells["modifiers"]["tone"]["items"], list(news["modifiers"]["type"]["items"])


@pytest.mark.parametrize("token", ["", "bad", "customer", "unavailable"])
@pytest_twisted.ensureDeferred
async def test_any_client_reads_the_catalogue(site: SiteHarness, token: str) -> None:
    response = await site(PATH, token=token)
    assert response.code == 200
    assert choices(response.json_body["data"]) == (["high"], ["plain"])
    assert ("version" in response.json_body) == (token == "customer")


@pytest_twisted.ensureDeferred
async def test_a_super_admin_reads_all_values(site: SiteHarness) -> None:
    response = await site(PATH, token="admin")
    assert choices(response.json_body["data"]) == (["high", "secret"], ["plain", "secret"])


def test_listing_leaves_the_hook_types_unchanged() -> None:
    assert choices(list_hook_types(TYPES)) == (["high"], ["plain"])
    assert list(TYPES[0].modifiers["type"]["items"]) == ["plain", "secret"]
    assert list_hook_types(TYPES)[0]["modifiers"]["odd"] == 3


@pytest_twisted.ensureDeferred
async def test_samples_are_listed_read_and_filtered(site: SiteHarness) -> None:
    assert (await site(f"{PATH}/samples")).json_body["data"] == ["webhooks_news"]
    samples = f"{PATH}/samples/webhooks_news"
    assert (await site(samples)).json_body["data"] == list(TYPES[0].samples)
    assert (await site(f"{samples}?filter_event_name=other")).json_body["data"] == [TYPES[0].samples[1]]
    assert (await site(f"{samples}?filter_size=3")).json_body["data"] == []
    assert (await site(f"{samples}?created_from=x")).code == 400


@pytest.mark.parametrize("sample_id", ["webhooks_bells", "webhooks_none", "news", "x"])
@pytest_twisted.ensureDeferred
async def test_unknown_samples_are_not_found(site: SiteHarness, sample_id: str) -> None:
    response = await site(f"{PATH}/samples/{sample_id}")
    assert (response.code, response.json_body["message"]) == (404, "bad_identifier")


@pytest_twisted.ensureDeferred
async def test_the_catalogue_of_a_node_has_the_built_in_types(rest: RestHarness) -> None:
    response = await rest("GET", PATH, token="")
    assert "version" not in response.json_body
    assert set(response.json_body["data"][0]) == {"id", "name", "description", "modifiers"}
    ids = {hook_type["id"] for hook_type in response.json_body["data"]}
    assert {"channel_create", "channel_answer", "channel_bridge", "channel_destroy"} <= ids
