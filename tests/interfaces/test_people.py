from __future__ import annotations

import pytest

from kazoo_bridge.interfaces import (
    DEVICE,
    GROUP,
    UNKNOWN_PEOPLE,
    USER,
    Device,
    Group,
    GroupMember,
    People,
    User,
)

DESK = Device("desk", user_ids=("ana",), sip_username="ana1", realm="v.example.com")
SOFT = Device("soft", user_ids=("ana", "bo"), enabled=False)
DOOR = Device("door")


def make_people(*groups: Group) -> People:
    return People(
        {"ana": User("ana", "Ana", "Dahl", device_ids=("desk", "soft", "gone")), "bo": User("bo", "", "Ek")},
        {"desk": DESK, "soft": SOFT, "door": DOOR},
        {group.id: group for group in groups},
    )


def group_of(group_id: str, *members: tuple[str, str]) -> Group:
    return Group(group_id, members=tuple(GroupMember(one, kind) for kind, one in members))


@pytest.mark.parametrize(
    ("kind", "member_id", "devices"),
    [
        (DEVICE, "desk", (DESK,)),
        (USER, "ana", (DESK, SOFT)),
        (USER, "bo", ()),
        (GROUP, "sales", (DOOR, DESK, SOFT)),
        (DEVICE, "ana", ()),
        (USER, "desk", ()),
        (GROUP, "nowhere", ()),
        ("callflow", "desk", ()),
    ],
)
def test_the_devices_of_a_member_each_once_in_order(
    kind: str, member_id: str, devices: tuple[Device, ...]
) -> None:
    people = make_people(group_of("sales", (DEVICE, "door"), (USER, "ana"), (DEVICE, "desk")))
    assert people.devices_of(kind, member_id) == devices


def test_groups_within_groups_are_followed_once_although_they_contain_each_other() -> None:
    people = make_people(
        group_of("all", *[(GROUP, "sales")] * 1000, (DEVICE, "door")),
        group_of("sales", *[(GROUP, "all")] * 1000, (USER, "ana")),
    )
    assert people.devices_of(GROUP, "all") == (DESK, SOFT, DOOR)


@pytest.mark.parametrize(
    ("first", "last", "name"), [("Ana", "Dahl", "Ana Dahl"), ("", "Ek", "Ek"), ("", "", "")]
)
def test_the_name_of_a_user(first: str, last: str, name: str) -> None:
    assert User("u", first, last).name == name


def test_people_that_are_not_known_are_not_the_same_as_none() -> None:
    assert (UNKNOWN_PEOPLE.is_known, People().is_known) == (False, True)
    assert not UNKNOWN_PEOPLE.users
