from __future__ import annotations

import json
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from kazoo_bridge.couchdb.names import account_database
from kazoo_bridge.directory.couchdb.sip_usernames import MAX_MEMBERS
from kazoo_bridge.interfaces import ISipUsernames
from tests.couchdb.kazoo_cluster import CUSTOMER, DEVICE, SIBLING, USER, device_document, user_document
from tests.directory.couchdb.harness import DirectoryHarness, error_of, result_of

DATABASE = account_database(CUSTOMER)
GROUP, COLLEAGUE = "3" * 32, "4" * 32


@pytest.fixture
def harness() -> DirectoryHarness:
    harness = DirectoryHarness()
    couch = harness.couch

    def owned(database: str, query: dict[str, str]) -> list[dict[str, Any]]:
        """The devices of a user, like KAZOO's view, which leaves out what is deleted."""
        key = json.loads(query["startkey"])
        assert key == json.loads(query["endkey"])
        documents = couch.databases[database].values()
        devices = [
            one for one in documents if one.get("pvt_type") == key[1] and one.get("owner_id") == key[0]
        ]
        return [{"id": one["_id"], "key": key, "value": one["_id"], "doc": one} for one in devices]

    couch.views["attributes/owned"] = owned
    save = couch.save
    save(DATABASE, device_document(CUSTOMER, "5" * 32, sip={"username": "softphone"}))
    save(DATABASE, device_document(CUSTOMER, "6" * 32, sip={}))
    save(DATABASE, device_document(CUSTOMER, "7" * 32, sip={"username": "door"}, owner_id=None))
    save(DATABASE, device_document(CUSTOMER, "8" * 32, sip={"username": "colleague"}, owner_id=COLLEAGUE))
    save(DATABASE, device_document(CUSTOMER, "9" * 32, sip={"username": "gone"}, pvt_deleted=True))
    save(DATABASE, user_document(CUSTOMER, COLLEAGUE))
    return harness


def save_group(harness: DirectoryHarness, endpoints: Any) -> None:
    group = {"_id": GROUP, "name": "Support", "pvt_type": "group", "endpoints": endpoints}
    harness.couch.save(DATABASE, group)


def names(harness: DirectoryHarness, kind: str, member_id: str, account_id: str = CUSTOMER) -> Any:
    answer: Deferred[Any] = ISipUsernames(harness.directory).sip_usernames(account_id, kind, member_id)
    return result_of(answer)


def test_of_a_device(harness: DirectoryHarness) -> None:
    assert names(harness, "device", DEVICE) == ["desk"]
    assert names(harness, "device", "6" * 32) == []


def test_of_the_devices_of_a_user(harness: DirectoryHarness) -> None:
    assert names(harness, "user", USER) == ["desk", "softphone"]


def test_of_the_members_of_a_group(harness: DirectoryHarness) -> None:
    members = {USER: {"type": "user"}, "7" * 32: {"type": "device"}, "x": {"type": "other"}, "y": "broken"}
    save_group(harness, members)
    assert names(harness, "group", GROUP) == ["desk", "door", "softphone"]


@pytest.mark.parametrize("endpoints", [None, [], "text", {}])
def test_of_a_group_without_members(harness: DirectoryHarness, endpoints: Any) -> None:
    save_group(harness, endpoints)
    assert names(harness, "group", GROUP) == []


def test_a_group_has_only_so_many_members(harness: DirectoryHarness) -> None:
    strangers = {f"{number:032x}": {"type": "user"} for number in range(MAX_MEMBERS)}
    save_group(harness, strangers | {USER: {"type": "user"}})
    assert names(harness, "group", GROUP) == []


@pytest.mark.parametrize(
    ("kind", "member_id"),
    [
        ("device", USER),
        ("device", "9" * 32),
        ("device", "none"),
        ("user", "none"),
        ("group", "none"),
        ("group", USER),
        ("group", "_all_docs"),
        ("device", "d" * 1000),
        ("other", DEVICE),
    ],
)
def test_what_is_none_of_it_has_no_names(harness: DirectoryHarness, kind: str, member_id: str) -> None:
    assert names(harness, kind, member_id) == []


def test_only_documents_are_read(harness: DirectoryHarness) -> None:
    harness.couch.asked.clear()
    names(harness, "group", "_all_docs")
    assert harness.couch.asked == []


def test_of_an_account_without_databases(harness: DirectoryHarness) -> None:
    del harness.couch.databases[account_database(SIBLING)]
    kinds = ("device", "user", "group")
    assert [names(harness, kind, USER, SIBLING) for kind in kinds] == [[], [], []]


def test_of_an_account_that_is_not_kazoos(harness: DirectoryHarness) -> None:
    assert names(harness, "user", USER, "9" * 32) is None


def test_without_couchdb_nothing_is_known(harness: DirectoryHarness) -> None:
    harness.go_away()
    error_of(ISipUsernames(harness.directory).sip_usernames(CUSTOMER, "user", USER))
