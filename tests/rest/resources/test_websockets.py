from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest_twisted
from attrs import define

from kazoo_bridge.interfaces import Account, BusUnavailable, Principal, TokenRestrictions
from kazoo_bridge.rest.resources.websockets import WebsocketResource
from tests.rest.fakes import FakeDirectory, FakeWebsockets
from tests.rest.harness import ACCOUNT
from tests.rest.site_harness import SiteHarness, running_site

PATH = f"/v2/accounts/{ACCOUNT}/websockets"
ONE, TWO = {"websocket_session_id": "1", "name": "one"}, {"websocket_session_id": "2", "name": "two"}


@define
class SocketHarness:
    site: SiteHarness
    websockets: FakeWebsockets


@pytest_twisted.async_yield_fixture
async def harness() -> AsyncIterator[SocketHarness]:
    directory = FakeDirectory({ACCOUNT: Account(ACCOUNT, "", "")}, {"good": Principal(ACCOUNT)})
    websockets = FakeWebsockets({"1": ONE, "2": TWO})
    async with running_site(WebsocketResource(directory, websockets)) as site:
        yield SocketHarness(site, websockets)


@pytest_twisted.ensureDeferred
async def test_bindings_need_no_token(harness: SocketHarness) -> None:
    for token in ("", "bad", "unavailable"):
        response = await harness.site("/v2/websockets", token=token)
        assert response.json_body["data"] == {"call": ["call.CHANNEL_CREATE.{CALL_ID}"]}
        assert "version" not in response.json_body
    assert "version" in (await harness.site("/v2/websockets", token="good")).json_body


@pytest_twisted.ensureDeferred
async def test_sockets_are_listed_and_filtered(harness: SocketHarness) -> None:
    assert (await harness.site(PATH, token="good")).json_body["data"] == [ONE, TWO]
    assert (await harness.site(f"{PATH}?filter_name=two", token="good")).json_body["data"] == [TWO]
    assert (await harness.site(PATH)).code == 401


@pytest_twisted.ensureDeferred
async def test_pages_of_sockets_newest_first(harness: SocketHarness) -> None:
    documents: dict[str, Mapping[str, Any]] = {
        "1": {"websocket_session_id": "1", "timestamp": 100},
        "2": {"websocket_session_id": "2", "timestamp": "unknown"},
        "3": {"websocket_session_id": "3", "timestamp": 99},
        "4": {"websocket_session_id": "4", "timestamp": 100},
    }
    harness.websockets.documents = documents
    assert (await harness.site(PATH, token="good")).json_body["page_size"] == 4
    found, start_key = [], ""
    for _ in range(2):
        page = (await harness.site(f"{PATH}?page_size=2{start_key}", token="good")).json_body
        found += [socket["websocket_session_id"] for socket in page["data"]]
        start_key = f"&start_key={page.get('next_start_key')}"
    assert found == ["1", "4", "3", "2"]
    assert "next_start_key" not in page


@pytest_twisted.ensureDeferred
async def test_a_socket_is_read_and_closed(harness: SocketHarness) -> None:
    assert (await harness.site(f"{PATH}/1", token="good")).json_body["data"] == ONE
    assert (await harness.site(f"{PATH}/1", verb="DELETE", token="good")).json_body["data"] == ONE
    for verb in ("GET", "DELETE"):
        response = await harness.site(f"{PATH}/1", verb=verb, token="good")
        assert (response.code, response.json_body["message"]) == (404, "bad_identifier")
    assert list(harness.websockets.documents) == ["2"]


@pytest_twisted.ensureDeferred
async def test_without_the_bus_there_are_no_sockets(harness: SocketHarness) -> None:
    harness.websockets.error = BusUnavailable("no connection")
    response = await harness.site(PATH, token="good")
    assert (response.code, response.json_body["message"]) == (503, "datastore_fault")


@pytest_twisted.ensureDeferred
async def test_a_restricted_token_reaches_no_sockets_beside_those_of_the_path() -> None:
    child = "c" * 32
    restricted = TokenRestrictions.parse({"*": [f"accounts/{child}/websockets/#"]})
    directory = FakeDirectory(
        {ACCOUNT: Account(ACCOUNT, "", ""), child: Account(child, "", "", (ACCOUNT,))},
        {"all": Principal(ACCOUNT), "some": Principal(ACCOUNT, restrictions=restricted)},
    )
    websockets = FakeWebsockets()
    path = f"/v2/accounts/{child}/websockets"
    async with running_site(WebsocketResource(directory, websockets)) as site:
        for token, expected in (("all", [ACCOUNT, child, ACCOUNT, child, ACCOUNT]), ("some", [child, child])):
            websockets.asked.clear()
            await site(path, token=token)
            assert (await site(f"{path}/1", token=token)).code == 404
            assert (await site(f"{path}/1", verb="DELETE", token=token)).code == 404
            assert websockets.asked == expected
