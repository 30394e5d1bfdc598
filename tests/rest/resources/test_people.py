from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import implementer

from kazoo_bridge.interfaces import (
    Account,
    Device,
    Group,
    GroupMember,
    IPeople,
    People,
    Principal,
    StorageUnavailable,
    User,
)
from kazoo_bridge.rest.resources.people import PeopleResource
from tests.rest.fakes import FakeDirectory
from tests.rest.harness import ACCOUNT
from tests.rest.site_harness import SiteHarness, running_site

OTHER, AWAY = "d" * 32, "e" * 32
BASE = f"/v2/accounts/{ACCOUNT}"

MEMBERS = (GroupMember("u1", "user"), GroupMember("d2", "device"))
PEOPLE = People(
    {
        "u1": User(
            "u1", "Ingrid", "Solberg", "ingrid", "i@example.com", "2001", "admin", "Europe/Oslo",
            ("caller_id",), extensions=("2001",), device_ids=("d1",),
        ),
        "u2": User("u2", "Bo", "Ek"),
        "u3": User("u3", "Ane", "Ek"),
    },
    {
        "d2": Device("d2", "Door", sip_username="door", realm="a.example.com", extensions=("3000",)),
        "d1": Device("d1", "Desk", "softphone", False, "u1", ("u1",), "00:11"),
    },
    {"g1": Group("g1", "Support", ("music_on_hold",), MEMBERS)},
)  # fmt: skip


@implementer(IPeople)
class PeopleDirectory(FakeDirectory):
    """A directory that knows the people of one account; the source of another one is away."""

    def people(self, account_id: str) -> Deferred[People]:
        if account_id == AWAY:
            return fail(StorageUnavailable("away"))
        return succeed(PEOPLE if account_id == ACCOUNT else People())

    def member_document(
        self, account_id: str, kind: str, member_id: str
    ) -> Deferred[Mapping[str, Any] | None]:
        known = account_id == ACCOUNT and member_id == f"{kind[0]}1"
        return succeed({"id": member_id, "kind": kind} if known else None)


ACCOUNTS = {one: Account(one, "", "") for one in (ACCOUNT, OTHER, AWAY)}
TOKENS = {one[0]: Principal(one) for one in ACCOUNTS}


@pytest_twisted.async_yield_fixture
async def site() -> AsyncIterator[SiteHarness]:
    async with running_site(PeopleResource(PeopleDirectory(ACCOUNTS, TOKENS))) as site:
        yield site


async def read(site: SiteHarness, path: str, token: str = ACCOUNT[0]) -> Any:
    response = await site(path, token=token)
    return response.json_body["data"] if response.code == 200 else response.code


@pytest_twisted.ensureDeferred
async def test_users_are_listed_like_by_crossbar(site: SiteHarness) -> None:
    users = await read(site, f"{BASE}/users")
    assert [one["id"] for one in users] == ["u3", "u2", "u1"]
    assert users[0] == {"id": "u3", "first_name": "Ane", "last_name": "Ek", "features": [], "extensions": []}
    assert users[2] == {
        "id": "u1",
        "features": ["caller_id"],
        "username": "ingrid",
        "email": "i@example.com",
        "first_name": "Ingrid",
        "last_name": "Solberg",
        "priv_level": "admin",
        "presence_id": "2001",
        "timezone": "Europe/Oslo",
        "extensions": ["2001"],
    }


@pytest_twisted.ensureDeferred
async def test_devices_and_groups_are_listed_like_by_crossbar(site: SiteHarness) -> None:
    assert await read(site, f"{BASE}/devices") == [
        {
            "id": "d1",
            "name": "Desk",
            "mac_address": "00:11",
            "owner_id": "u1",
            "enabled": False,
            "device_type": "softphone",
            "extensions": [],
        },
        {
            "id": "d2",
            "name": "Door",
            "username": "door",
            "mac_address": "",
            "enabled": True,
            "device_type": "sip_device",
            "extensions": ["3000"],
        },
    ]
    group = {"id": "g1", "name": "Support", "features": ["music_on_hold"], "endpoints": 2}
    assert await read(site, f"{BASE}/groups") == [group]


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("users?filter_username=ingrid", ["u1"]),
        ("users?missing_value=presence_id", ["u3", "u2"]),
        ("devices?filter_owner_id=u1", ["d1"]),
        ("devices?filter_enabled=true", ["d2"]),
        ("groups?filter_name=Sales", []),
        ("users?paginate=false", ["u3", "u2", "u1"]),
    ],
)
@pytest_twisted.ensureDeferred
async def test_lists_are_filtered(site: SiteHarness, query: str, ids: list[str]) -> None:
    assert [one["id"] for one in await read(site, f"{BASE}/{query}")] == ids


@pytest.mark.parametrize(("kind", "ids"), [("users", ["u3", "u2", "u1"]), ("devices", ["d1", "d2"])])
@pytest_twisted.ensureDeferred
async def test_lists_have_pages(site: SiteHarness, kind: str, ids: list[str]) -> None:
    found, start_key = [], ""
    for _ in ids:
        page = (await site(f"{BASE}/{kind}?page_size=1{start_key}", token=ACCOUNT[0])).json_body
        found += [one["id"] for one in page["data"]]
        start_key = f"&start_key={page.get('next_start_key')}"
    assert (found, "next_start_key" in page) == (ids, False)


@pytest.mark.parametrize("kind", ["user", "device", "group"])
@pytest_twisted.ensureDeferred
async def test_documents(site: SiteHarness, kind: str) -> None:
    path = f"{BASE}/{kind}s/{kind[0]}1"
    assert await read(site, path) == {"id": f"{kind[0]}1", "kind": kind}
    response = await site(f"{BASE}/{kind}s/none", token=ACCOUNT[0])
    assert (response.code, response.json_body["message"]) == (404, "bad_identifier")
    assert await read(site, path, OTHER[0]) == 403
    assert await read(site, path, "") == 401


@pytest_twisted.ensureDeferred
async def test_people_are_those_of_the_account_in_the_path(site: SiteHarness) -> None:
    for kind in ("users", "devices", "groups"):
        assert await read(site, f"/v2/accounts/{OTHER}/{kind}", OTHER[0]) == []
        assert await read(site, f"{BASE}/{kind}", OTHER[0]) == 403
        assert await read(site, f"{BASE}/{kind}", "") == 401


@pytest_twisted.ensureDeferred
async def test_a_source_that_is_away_is_said(site: SiteHarness) -> None:
    assert await read(site, f"/v2/accounts/{AWAY}/users", AWAY[0]) == 503


@pytest_twisted.ensureDeferred
async def test_a_directory_without_people_has_none() -> None:
    async with running_site(PeopleResource(FakeDirectory(ACCOUNTS, TOKENS))) as site:
        assert [await read(site, f"{BASE}/{kind}") for kind in ("users", "devices", "groups")] == [[], [], []]
        assert await read(site, f"{BASE}/users/u1") == 404
