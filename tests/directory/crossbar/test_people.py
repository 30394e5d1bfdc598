from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.task import Clock

from kazoo_bridge.config import Crossbar
from kazoo_bridge.directory.crossbar import CrossbarDirectory, people
from kazoo_bridge.directory.crossbar.http_client import CrossbarClient
from kazoo_bridge.directory.people_cache import MIN_READ_INTERVAL, PEOPLE_TOPICS
from kazoo_bridge.interfaces import (
    UNKNOWN_PEOPLE,
    Device,
    Group,
    GroupMember,
    People,
    StorageUnavailable,
    User,
)
from kazoo_bridge.kazoo import Event, account_db
from tests.directory.crossbar.stand_in import API_KEY, CUSTOMER, FOREIGN, SIBLING, StandInCrossbar

REALM = "2.sip.example.com"


def listed(*rows: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    return {row["id"]: (row, row) for row in rows}


@pytest.fixture
def crossbar_with_people(crossbar: StandInCrossbar) -> StandInCrossbar:
    group = {"id": "g1", "name": "Support", "features": ["music_on_hold"], "endpoints": 2}
    members = {"u1": {"type": "user"}, "d3": {"type": "device"}}
    crossbar.people[CUSTOMER] = {
        "users": listed(
            {"id": "u1", "first_name": "Ingrid", "last_name": "Solberg", "features": ["caller_id"]},
            {"id": "u2", "username": "bo", "presence_id": "2002"},
            {"id": "u3"},
        ),
        "devices": listed(
            {"id": "d1", "name": "Desk", "username": "desk", "owner_id": "u1", "enabled": True},
            {"id": "d2", "name": "Mobile", "owner_id": "u1", "device_type": "cellphone", "enabled": False},
            {"id": "d3", "name": "Door", "username": "door", "mac_address": "00:11"},
        ),
        "groups": {"g1": (group, group | {"endpoints": members})},
        "callflows": listed(
            {"id": "c1", "numbers": ["2001"], "owner_id": "u1", "modules": ["user"]},
            {"id": "c2", "numbers": ["2009"], "modules": ["user"]},
        ),
    }
    return crossbar


@pytest_twisted.async_yield_fixture
async def directory(
    crossbar_with_people: StandInCrossbar, clock: Clock, client: CrossbarClient
) -> AsyncIterator[CrossbarDirectory]:
    yield CrossbarDirectory(clock, Crossbar(uri="http://unused/v2", api_key=API_KEY), client)


def count(crossbar: StandInCrossbar, account_id: str = CUSTOMER) -> int:
    lists: Iterable[str] = ("users", "devices", "groups", "callflows")
    return sum(crossbar.asked[f"GET /accounts/{account_id}/{one}"] for one in lists)


@pytest_twisted.ensureDeferred
async def test_people_are_those_of_the_lists(directory: CrossbarDirectory, crossbar: StandInCrossbar) -> None:
    people = await directory.people(CUSTOMER)
    assert people.users == {
        "u1": User(
            "u1", "Ingrid", "Solberg", features=("caller_id",), extensions=("2001",), device_ids=("d1", "d2")
        ),
        "u2": User("u2", username="bo", presence_id="2002"),
        "u3": User("u3"),
    }
    assert people.devices == {
        "d1": Device("d1", "Desk", owner_id="u1", user_ids=("u1",), sip_username="desk", realm=REALM),
        "d2": Device("d2", "Mobile", "cellphone", enabled=False, owner_id="u1", user_ids=("u1",)),
        "d3": Device("d3", "Door", mac_address="00:11", sip_username="door", realm=REALM),
    }
    members = (GroupMember("u1", "user"), GroupMember("d3", "device"))
    assert people.groups == {"g1": Group("g1", "Support", ("music_on_hold",), members)}
    assert await directory.sip_usernames(CUSTOMER, "group", "g1") == ["desk", "door"]
    assert count(crossbar) == 2 + 2 + 1 + 1  # pages


@pytest_twisted.ensureDeferred
async def test_a_message_brings_the_change(
    directory: CrossbarDirectory, crossbar: StandInCrossbar, clock: Clock
) -> None:
    await directory.people(CUSTOMER)
    del crossbar.people[CUSTOMER]["users"]["u2"]
    clock.advance(MIN_READ_INTERVAL)
    assert "u2" in (await directory.people(CUSTOMER)).users
    assert directory.configuration_topics == PEOPLE_TOPICS
    body = {"Database": account_db(CUSTOMER), "ID": "u2", "Type": "user"}
    directory.on_configuration_event(Event("configuration", "doc_deleted.x.user.u2", body, b""))
    assert "u2" not in (await directory.people(CUSTOMER)).users
    del crossbar.people[CUSTOMER]["users"]["u3"]
    clock.advance(MIN_READ_INTERVAL)
    directory.on_configuration_missed()
    assert list((await directory.people(CUSTOMER)).users) == ["u1"]


@pytest_twisted.ensureDeferred
async def test_an_account_has_its_own_people_alone(
    directory: CrossbarDirectory, crossbar: StandInCrossbar
) -> None:
    assert await directory.people(SIBLING) == People()
    assert await directory.people(FOREIGN) is UNKNOWN_PEOPLE
    assert await directory.people("../accounts") is UNKNOWN_PEOPLE
    assert await directory.member_document(SIBLING, "user", "u1") is None


@pytest_twisted.ensureDeferred
async def test_lists_are_bounded(
    directory: CrossbarDirectory, crossbar: StandInCrossbar, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(people, "MAX_DOCUMENTS", people.PAGE_SIZE)
    found = await directory.people(CUSTOMER)
    assert (len(found.users), found.is_complete) == (2, False)
    monkeypatch.setattr(people, "MAX_GROUPS", 0)
    crossbar.people[SIBLING] = {"groups": crossbar.people[CUSTOMER]["groups"]}
    found = await directory.people(SIBLING)
    assert (found.groups, found.is_complete) == ({}, False)


@pytest.mark.parametrize(
    "answer",
    [
        {"status": "success", "data": {"id": "u1"}},
        {"status": "success", "data": [], "next_start_key": 5},
        {"status": "error", "data": []},
    ],
)
@pytest_twisted.ensureDeferred
async def test_another_form_is_no_answer(
    directory: CrossbarDirectory, crossbar: StandInCrossbar, answer: dict[str, Any]
) -> None:
    lie = json.dumps(answer).encode()
    crossbar.lie = lambda _method, path: (200, lie) if path.endswith("/users") else None
    with pytest.raises(StorageUnavailable):
        await directory.people(CUSTOMER)


@pytest_twisted.ensureDeferred
async def test_a_crossbar_that_is_away_hides_nothing_that_is_known(
    directory: CrossbarDirectory, crossbar: StandInCrossbar, clock: Clock
) -> None:
    await directory.people(CUSTOMER)
    crossbar.lie = lambda _method, _path: (503, b"")
    directory.on_configuration_missed()
    clock.advance(MIN_READ_INTERVAL)
    assert "u1" in (await directory.people(CUSTOMER)).users
    with pytest.raises(StorageUnavailable):
        await directory.people(SIBLING)
    with pytest.raises(StorageUnavailable):
        await directory.member_document(CUSTOMER, "user", "u1")


@pytest_twisted.ensureDeferred
async def test_documents(directory: CrossbarDirectory, crossbar: StandInCrossbar) -> None:
    document = {"id": "d1", "name": "Desk", "sip": {"username": "desk", "password": "s3cret"}}
    crossbar.people[CUSTOMER]["devices"]["d1"] = ({}, document)
    crossbar.people[CUSTOMER]["devices"]["d2"] = ({}, document)
    shown = await directory.member_document(CUSTOMER, "device", "d1")
    assert shown == {"id": "d1", "name": "Desk", "sip": {"username": "desk"}}
    for kind, member_id in (("user", "none"), ("callflow", "c1"), ("user", ".."), ("user", "a/b")):
        assert await directory.member_document(CUSTOMER, kind, member_id) is None
    with pytest.raises(StorageUnavailable):
        await directory.member_document(CUSTOMER, "device", "d2")
