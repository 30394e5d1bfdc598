from __future__ import annotations

import pytest

from kazoo_bridge.couchdb.names import account_database
from kazoo_bridge.directory.couchdb import people
from kazoo_bridge.directory.people_cache import MIN_READ_INTERVAL
from kazoo_bridge.interfaces import GROUP as GROUP_KIND
from kazoo_bridge.interfaces import UNKNOWN_PEOPLE, Device, Group, GroupMember, People, User
from tests.couchdb.kazoo_cluster import CUSTOMER, DEVICE, SIBLING, USER, device_document, user_document
from tests.couchdb.people_documents import COLLEAGUE, DOOR, GROUP, save_people
from tests.directory.couchdb.harness import DirectoryHarness, error_of, result_of

DATABASE = account_database(CUSTOMER)
REALM = "cccccc.sip.example.com"


@pytest.fixture
def harness() -> DirectoryHarness:
    harness = DirectoryHarness()
    save_people(harness.couch)
    return harness


def read(harness: DirectoryHarness, account_id: str = CUSTOMER) -> People:
    return result_of(harness.directory.people(account_id))


def test_people_are_read_from_the_documents(harness: DirectoryHarness) -> None:
    people = read(harness)
    assert people.users == {
        USER: User(
            USER,
            "Ingrid",
            "Solberg",
            "ingrid",
            "ingrid@example.com",
            priv_level="admin",
            extensions=("2001", "+4722555010"),
            device_ids=(DEVICE,),
        ),
        COLLEAGUE: User(COLLEAGUE, "Bo", "Ek", presence_id="2002", features=("caller_id",)),
    }
    assert people.devices == {
        DEVICE: Device(
            DEVICE, "Desk phone", owner_id=USER, user_ids=(USER,), sip_username="desk", realm=REALM
        ),
        DOOR: Device(DOOR, "Door", sip_username="door", realm=REALM),
    }
    members = (GroupMember(USER, "user"), GroupMember(DOOR, "device"))
    assert people.groups == {GROUP: Group(GROUP, "Support", members=members)}
    assert [one.sip_username for one in people.devices_of(GROUP_KIND, GROUP)] == ["desk", "door"]


def test_a_message_about_a_document_brings_the_change_to_its_account_alone(harness: DirectoryHarness) -> None:
    assert read(harness).users[COLLEAGUE].first_name == "Bo"
    read(harness, SIBLING)
    harness.couch.update(DATABASE, COLLEAGUE, first_name="Bob")
    harness.couch.delete(DATABASE, GROUP)
    harness.advance(MIN_READ_INTERVAL)
    assert read(harness).users[COLLEAGUE].first_name == "Bo"
    harness.announce(DATABASE, COLLEAGUE)
    asked = len(harness.couch.asked)
    assert (read(harness).users[COLLEAGUE].first_name, read(harness).groups) == ("Bob", {})
    read(harness, SIBLING)
    assert len(harness.couch.asked) == asked + 4


def test_another_realm_of_the_account_is_that_of_its_devices(harness: DirectoryHarness) -> None:
    read(harness)
    harness.cluster.save_account(CUSTOMER, realm="new.example.com")
    harness.announce(DATABASE, CUSTOMER)
    harness.advance(MIN_READ_INTERVAL)
    assert read(harness).devices[DEVICE].realm == "new.example.com"


def test_messages_that_were_missed_make_everything_be_read_again(harness: DirectoryHarness) -> None:
    read(harness)
    harness.couch.delete(DATABASE, COLLEAGUE)
    harness.advance(MIN_READ_INTERVAL)
    harness.directory.on_configuration_missed()
    assert COLLEAGUE not in read(harness).users


def test_the_directory_hears_of_all_four_types_of_documents(harness: DirectoryHarness) -> None:
    patterns = {topic.pattern for topic in harness.directory.configuration_topics}
    assert {f"doc_edited.*.{kind}.*" for kind in ("user", "device", "group", "callflow")} < patterns


def test_what_is_deleted_or_of_another_account_is_not_there(harness: DirectoryHarness) -> None:
    harness.couch.save(DATABASE, user_document(CUSTOMER, "9" * 32, pvt_deleted=True))
    harness.couch.save(account_database(SIBLING), device_document(SIBLING, "8" * 32))
    people = read(harness)
    assert "9" * 32 not in people.users
    assert "8" * 32 not in people.devices
    assert list(read(harness, SIBLING).devices) == ["8" * 32]


def test_an_account_without_views_or_database_has_no_people(harness: DirectoryHarness) -> None:
    harness.couch.views.clear()
    del harness.couch.databases[account_database(SIBLING)]
    assert [read(harness, one) for one in (CUSTOMER, SIBLING)] == [People(), People()]


def test_an_account_that_is_not_kazoos_is_not_known(harness: DirectoryHarness) -> None:
    assert read(harness, "9" * 32) is UNKNOWN_PEOPLE
    assert result_of(harness.directory.member_document("9" * 32, "user", USER)) is None


def test_only_so_many_documents_are_read(harness: DirectoryHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(people, "MAX_DOCUMENTS", 2)
    monkeypatch.setattr(people, "_PAGE_SIZE", 1)
    harness.couch.save(DATABASE, user_document(CUSTOMER, "5" * 32))
    found = read(harness)
    assert (len(found.users), found.is_complete) == (2, False)


def test_without_couchdb_what_is_known_serves_on_and_the_rest_fails(harness: DirectoryHarness) -> None:
    read(harness)
    harness.go_away()
    harness.announce(DATABASE, COLLEAGUE)
    harness.advance(MIN_READ_INTERVAL)
    assert COLLEAGUE in read(harness).users
    error_of(harness.directory.people(SIBLING))
    error_of(harness.directory.member_document(CUSTOMER, "user", USER))


def test_a_document_is_shown_without_secrets(harness: DirectoryHarness) -> None:
    harness.couch.update(DATABASE, DEVICE, sip={"username": "desk", "password": "s3cret"})
    document = result_of(harness.directory.member_document(CUSTOMER, "device", DEVICE))
    assert document == {
        "id": DEVICE,
        "name": "Desk phone",
        "owner_id": USER,
        "enabled": True,
        "sip": {"username": "desk"},
    }


@pytest.mark.parametrize(
    ("kind", "member_id"),
    [("device", USER), ("user", "none"), ("callflow", "6" * 32), ("user", "_all_docs"), ("user", "..")],
)
def test_only_members_are_documents(harness: DirectoryHarness, kind: str, member_id: str) -> None:
    assert result_of(harness.directory.member_document(CUSTOMER, kind, member_id)) is None
