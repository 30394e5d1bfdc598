"""Pivot points over REST; what KAZOO and clients do with them is in ``tests/pivot/test_service.py``."""

from __future__ import annotations

import pytest_twisted

from kazoo_bridge.rest.resources.pivots import PivotResource
from tests.rest.harness import ACCOUNT, CHILD, RestHarness
from tests.rest.site_harness import running_site

PATH = f"/v2/accounts/{ACCOUNT}/pivots"


@pytest_twisted.ensureDeferred
async def test_documents_have_revisions(rest: RestHarness) -> None:
    created = await rest("PUT", PATH, {"name": "front-desk"})
    assert created.code == 201
    document = created.json_body["data"]
    path = f"{PATH}/{document['id']}"
    (revision,) = created.headers.getRawHeaders("etag")
    assert (await rest("GET", path, headers={"If-None-Match": revision})).code == 304
    for verb, data in (("POST", {"name": "x"}), ("PATCH", {"name": "x"}), ("DELETE", None)):
        assert (await rest(verb, path, data, headers={"If-Match": '"1-other"'})).code == 412
    changed = await rest("PATCH", path, {"strategy": "rotate"}, headers={"If-Match": revision})
    assert (changed.code, changed.json_body["data"]["strategy"]) == (200, "rotate")
    assert (await rest("PATCH", path, {"strategy": None})).json_body["data"]["strategy"] == "first"
    assert (await rest("POST", path, {"strategy": "first"})).json_body["data"]["name"] == {
        "required": {"message": "this field is required"}
    }
    assert (await rest("DELETE", path)).json_body["data"]["id"] == document["id"]
    assert (await rest("GET", path)).code == 404


@pytest_twisted.ensureDeferred
async def test_lists_have_filters_and_pages(rest: RestHarness) -> None:
    for name in ("a", "b", "c"):
        await rest("PUT", PATH, {"name": name, "enabled": name != "b"})
    first = (await rest("GET", f"{PATH}?page_size=2")).json_body
    second = (await rest("GET", f"{PATH}?page_size=2&start_key={first['next_start_key']}")).json_body
    assert (first["page_size"], second["page_size"], "next_start_key" in second) == (2, 1, False)
    # Points of one second have no order of their own.
    assert {point["name"] for point in first["data"] + second["data"]} == {"a", "b", "c"}
    enabled = await rest.get_data(f"{PATH}?filter_enabled=false")
    assert [point["name"] for point in enabled] == ["b"]
    assert all("url" not in point for point in enabled)
    assert await rest.get_data(f"/v2/accounts/{CHILD}/pivots") == []


@pytest_twisted.ensureDeferred
async def test_where_kazoo_reaches_the_service(rest: RestHarness) -> None:
    document = (await rest("PUT", PATH, {"name": "a"}, headers={"Host": "bridge.example"})).json_body["data"]
    assert document["url"].startswith(f"http://bridge.example/pivot/{document['id']}/")
    assert document["cdr_url"] == f"{document['url']}/cdr"


@pytest_twisted.ensureDeferred
async def test_where_kazoo_reaches_the_service_behind_a_proxy(rest: RestHarness) -> None:
    services = rest.node.rest_services()
    resource = PivotResource(services.directory, services.pivots, "https://outside.example/bridge/")
    async with running_site(resource, directory=services.directory) as site:
        created = await site(PATH, verb="PUT", token=rest.token, data={"name": "a"})
    document = created.json_body["data"]
    assert document["url"].startswith(f"https://outside.example/bridge/pivot/{document['id']}/")
    assert document["cdr_url"] == f"{document['url']}/cdr"
