from __future__ import annotations

from typing import Any

import pytest

from kazoo_bridge.directory.member_documents import (
    MAX_GROUP_MEMBERS,
    MAX_ITEMS,
    MAX_TEXT_LENGTH,
    PeopleBuilder,
    is_member_id,
    is_of_type,
    parse_device,
    parse_group,
    parse_user,
    to_public,
)
from kazoo_bridge.interfaces import DEVICE, USER, Device, Group, GroupMember, User

REALM = "v.example.com"


@pytest.mark.parametrize(
    ("document", "user"),
    [
        ({}, User("u")),
        (
            {
                "first_name": "Ingrid",
                "last_name": "Solberg",
                "username": "ingrid",
                "email": "i@example.com",
                "presence_id": "2001",
                "priv_level": "admin",
                "timezone": "Europe/Oslo",
                "features": ["caller_id", 5, ""],
                "enabled": False,
            },
            User(
                "u",
                "Ingrid",
                "Solberg",
                "ingrid",
                "i@example.com",
                "2001",
                "admin",
                "Europe/Oslo",
                ("caller_id",),
                enabled=False,
            ),
        ),
        ({"first_name": 5, "last_name": None, "email": "", "features": "x", "enabled": "no"}, User("u")),
        (
            {"first_name": "x" * 1000, "features": ["y"] * 1000},
            User("u", "x" * MAX_TEXT_LENGTH, features=("y",) * MAX_ITEMS),
        ),
    ],
)
def test_users(document: dict[str, Any], user: User) -> None:
    assert parse_user(document, "u") == user


@pytest.mark.parametrize(
    ("document", "device"),
    [
        ({}, Device("d")),
        ({"sip": {"username": "desk"}}, Device("d", sip_username="desk", realm=REALM)),
        ({"username": "desk"}, Device("d", sip_username="desk", realm=REALM)),
        (
            {"sip": {"username": "desk", "realm": "own.example.com"}},
            Device("d", sip_username="desk", realm="own.example.com"),
        ),
        (
            {
                "name": "Desk",
                "owner_id": "u1",
                "device_type": "softphone",
                "mac_address": "00:11",
                "enabled": False,
            },
            Device("d", "Desk", "softphone", False, "u1", ("u1",), "00:11"),
        ),
        (
            {"owner_id": "u1", "hotdesk": {"users": {"u2": {}, "bad id": {}, "u3": {}}}},
            Device("d", owner_id="u1", user_ids=("u2", "u3")),
        ),
        ({"owner_id": "u1", "hotdesk": {"users": {}}}, Device("d", owner_id="u1", user_ids=("u1",))),
        ({"owner_id": 5, "hotdesk": [], "sip": "x", "name": []}, Device("d")),
    ],
)
def test_devices(document: dict[str, Any], device: Device) -> None:
    assert parse_device(document, "d", REALM) == device


def test_groups() -> None:
    endpoints = {
        "u1": {"type": "user"},
        "d1": {"type": "device"},
        "x": {"type": "media"},
        "y": 5,
        "no id": {"type": "user"},
    }
    document = {"name": "Sales", "features": ["music_on_hold"], "endpoints": endpoints}
    members = (GroupMember("u1", USER), GroupMember("d1", DEVICE))
    assert parse_group(document, "g") == Group("g", "Sales", ("music_on_hold",), members)
    assert parse_group({"endpoints": 5}, "g") == Group("g")
    many = {f"u{number}": {"type": "user"} for number in range(MAX_GROUP_MEMBERS + 5)}
    assert len(parse_group({"endpoints": many}, "g").members) == MAX_GROUP_MEMBERS


def test_members_are_brought_together() -> None:
    builder = PeopleBuilder()
    for member in (
        User("u1"),
        User("u2"),
        Device("d2", user_ids=("u1",)),
        Device("d1", user_ids=("u1", "u2", "gone")),
        Device("door"),
        Group("g"),
    ):
        builder.add(member)
    for callflow in (
        {
            "numbers": ["+4722555010", "2001"],
            "flow": {"module": "user", "data": {"id": "u1"}},
            "owner_id": "u2",
        },
        {"numbers": ["2001", "2009"], "flow": {"module": "ring_group"}, "owner_id": "u1"},
        {"numbers": ["3000"], "flow": {"module": "device", "data": {"id": "door"}}},
        {"numbers": ["4000"], "flow": {"module": "voicemail", "data": {"id": "u2"}}},
        {"numbers": "2002", "flow": {"module": "user", "data": 5}, "owner_id": "u2"},
        {},
    ):
        builder.add_callflow(callflow)
    people = builder.build()
    assert people.users["u1"].extensions == ("2001", "2009", "+4722555010")
    assert [people.users[one].device_ids for one in ("u1", "u2")] == [("d1", "d2"), ("d1",)]
    assert (people.users["u2"].extensions, people.devices["door"].extensions) == ((), ("3000",))
    assert (list(people.groups), people.is_known, people.is_complete) == (["g"], True, True)


def test_a_document_is_shown_without_what_is_private_or_secret() -> None:
    document = {
        "_id": "d",
        "_rev": "1-x",
        "pvt_signature_secret": "s3cret",
        "name": "Desk",
        "password": "s3cret",
        "sip": {"username": "desk", "password": "s3cret", "method": "password"},
        "hotdesk": {"pin": "1234", "id": "77", "require_pin": True},
        "list": [{"api_key": "s3cret", "auth_token": "s3cret", "kept": 1}],
        "pin": 1234,
        "require_password_update": False,
    }
    assert to_public(document, "d") == {
        "id": "d",
        "name": "Desk",
        "sip": {"username": "desk", "method": "password"},
        "hotdesk": {"id": "77", "require_pin": True},
        "list": [{"kept": 1}],
        "require_password_update": False,
    }


@pytest.mark.parametrize(
    ("value", "is_id"),
    [
        ("1" * 32, True),
        ("a-b_c", True),
        ("_all_docs", False),
        ("..", False),
        ("", False),
        ("a/b", False),
        ("x" * 129, False),
        (5, False),
        ("a\n", False),
    ],
)
def test_ids(value: object, is_id: bool) -> None:
    assert is_member_id(value) is is_id


def test_a_deleted_document_is_of_no_type() -> None:
    assert is_of_type({"pvt_type": "user"}, "user")
    assert not is_of_type({"pvt_type": "user", "pvt_deleted": True}, "user")
    assert not is_of_type({"pvt_type": "device"}, "user")
