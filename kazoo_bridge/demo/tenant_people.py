"""The people of the demo's tenants: users, their telephones, and a group of each tenant."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from typing import Any

from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from kazoo_bridge.demo.tenants import Party, Tenant
from kazoo_bridge.interfaces import (
    DEVICE,
    GROUP,
    UNKNOWN_PEOPLE,
    USER,
    Device,
    Group,
    GroupMember,
    IPeople,
    People,
    User,
)

#: Members of a tenant's group.
GROUP_SIZE = 3


@implementer(IPeople)
class TenantPeople:
    """Knows the people of `tenants`."""

    def __init__(self, tenants: Iterable[Tenant]) -> None:
        self._people = {tenant.id: _people_of(tenant) for tenant in tenants}

    def people(self, account_id: str) -> Deferred[People]:
        """Fire with the people of a tenant."""
        return succeed(self._people.get(account_id, UNKNOWN_PEOPLE))

    def member_document(
        self, account_id: str, kind: str, member_id: str
    ) -> Deferred[Mapping[str, Any] | None]:
        """Fire with the document of a member, with the keys that a document of KAZOO has."""
        return succeed(_document(self._people.get(account_id, UNKNOWN_PEOPLE), kind, member_id))


def _people_of(tenant: Tenant) -> People:
    pairs = list(_iter_members(tenant))
    users = {user.id: user for user, _ in pairs}
    devices = {device.id: device for _, device in pairs}
    group_id = sha256(f"{tenant.id} group".encode()).hexdigest()[:32]
    members = tuple(GroupMember(user.id, USER) for user, _ in pairs[:GROUP_SIZE])
    return People(users, devices, {group_id: Group(group_id, "Reception", members=members)})


def _iter_members(tenant: Tenant) -> Iterator[tuple[User, Device]]:
    for party in tenant.people:
        if party.user_id is not None and party.device_id is not None:
            user = _user_of(party, party.user_id, party.device_id)
            device = Device(
                party.device_id,
                f"{party.name}'s phone",
                owner_id=user.id,
                user_ids=(user.id,),
                sip_username=party.sip_username,
                realm=tenant.realm,
            )
            yield user, device


def _user_of(party: Party, user_id: str, device_id: str) -> User:
    first_name, _, last_name = party.name.partition(" ")
    return User(
        user_id,
        first_name,
        last_name,
        presence_id=party.number,
        priv_level="user",
        extensions=(party.number,),
        device_ids=(device_id,),
    )


def _document(people: People, kind: str, member_id: str) -> Mapping[str, Any] | None:
    if kind == USER and member_id in people.users:
        user = people.users[member_id]
        return {
            "id": user.id,
            "first_name": user.first_name,
            "last_name": user.last_name,
            "presence_id": user.presence_id,
            "priv_level": user.priv_level,
            "enabled": True,
        }
    if kind == DEVICE and member_id in people.devices:
        device = people.devices[member_id]
        return {
            "id": device.id,
            "name": device.name,
            "device_type": device.device_type,
            "owner_id": device.owner_id,
            "enabled": True,
            "sip": {"username": device.sip_username, "method": "password"},
        }
    if kind == GROUP and member_id in people.groups:
        group = people.groups[member_id]
        endpoints = {member.id: {"type": member.kind} for member in group.members}
        return {"id": group.id, "name": group.name, "endpoints": endpoints}
    return None
